"""Check the upstreams: the connection to each, the network proxy before it, and this computer's clock."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from proxy import paths, running
from proxy.doctor.finding import Check, Examination, Finding
from proxy.errors.upstream import NetworkProxyUnreachable
from proxy.flow.upstream_state import HEALTHY
from proxy.settings.upstreams import Upstream
from proxy.upstream.network_proxy import NetworkProxy
from proxy.upstream.options import proxy_for
from proxy.upstream.steps import Probe

LIMIT_S = 45.0  # the steps have limits of their own, which are shorter together
MAX_CLOCK_S = 60.0  # certificates and signed requests take this much


def checks_of(examination: Examination) -> list[Check]:
    """Return a check for each upstream, and the checks that need their results."""
    store = examination.parts.store
    if not store.is_known:
        return [Check("Upstream", lambda _: Finding("Upstream", is_good=False, detail=UNKNOWN))]
    rows = store.current.upstreams
    examination.probes.update({row.name: Future() for row in rows})
    return [
        *(check_of(row, title_of(row, len(rows))) for row in rows),
        Check("Upstreams", check_states),
        Check("Network proxy", check_network_proxy),
        Check("Clock", check_clock, LIMIT_S + 1),
    ]


UNKNOWN = "not asked: which one you have chosen is not known"


def title_of(row: Upstream, count: int) -> str:
    """Return the title of an upstream's check."""
    return "Upstream" if count == 1 else f"Upstream {row.label}"


def check_of(row: Upstream, title: str) -> Check:
    """Return the check of one upstream."""

    def look(examination: Examination) -> Finding:
        outcome = examination.probes[row.name]
        found: Probe | None = None
        try:
            key = None if examination.lacks_key(row) else examination.key_of(row).key or ""
            found = examination.parts.probe_upstream(row, key)
        finally:
            outcome.set_result(found or Probe(()))
        return finding_of(title, row, found, has_key=key is not None)

    return Check(title, look, LIMIT_S)


def finding_of(title: str, row: Upstream, probe: Probe, *, has_key: bool) -> Finding:
    """Return the finding about the connection to an upstream, with the time of each step."""
    times = ", ".join(f"{step.name} {step.ms:.0f} ms" for step in probe.steps)
    if probe.problem is not None:
        return Finding(title, is_good=False, detail=f"{probe.problem} ({times})", steps=probe.steps)
    if not has_key:
        told = f"{row.base_url} can be reached, but was not asked: there is no key ({times})"
        return Finding(title, is_good=False, detail=told, steps=probe.steps)
    listed = "" if probe.models is None else f" and lists {probe.models} model{'' if probe.models == 1 else 's'}"
    return Finding(title, is_good=True, detail=f"{row.base_url} accepts the key{listed} ({times})", steps=probe.steps)


def check_states(examination: Examination) -> Finding:
    """Report the state of each upstream, from the last requests of a running proxy."""
    parts = examination.parts
    rows = parts.store.current.upstreams
    told = running.upstream_states(paths.runtime_dir(), parts.store.current.proxy_port)
    if not told and not parts.health.knows_any:
        names = ", ".join(row.label for row in rows)
        return Finding("Upstreams", is_good=True, detail=f"{names}; no proxy has asked them yet")
    states = {row.label: told.get(row.name) or str(parts.state_of(row)) for row in rows}
    is_good = all(state == HEALTHY for state in states.values())
    return Finding("Upstreams", is_good, "; ".join(f"{name} {state}" for name, state in states.items()))


def check_network_proxy(examination: Examination) -> Finding:
    """Check which network proxy is used for each upstream; its login is never shown."""
    told, is_good = [], True
    for row in examination.parts.store.current.upstreams:
        variable = proxy_for(row)
        if variable is None:
            continue
        try:
            told.append(f"{NetworkProxy.of(variable)} for {row.label}")
        except NetworkProxyUnreachable as error:
            is_good = False
            told.append(f"{error} (for {row.label})")
    return Finding("Network proxy", is_good, "; ".join(told) or "none: upstreams are reached directly")


def check_clock(examination: Examination) -> Finding:
    """Compare this computer's clock with the dates in upstreams' answers."""
    labels = {row.name: row.label for row in examination.parts.store.current.upstreams}
    for name, waiting in examination.probes.items():
        try:
            ahead_s = waiting.result(LIMIT_S).clock_ahead_s
        except FutureTimeout:
            continue
        if ahead_s is not None:
            how = "ahead of" if ahead_s > 0 else "behind"
            is_good = abs(ahead_s) <= MAX_CLOCK_S
            advice = "" if is_good else "; set it right, or certificates and logins are refused"
            apart = f"{abs(ahead_s):.0f} s {how} {labels[name]}'s" if abs(ahead_s) >= 1.5 else f"as {labels[name]}'s"
            return Finding("Clock", is_good, f"{apart}{advice}")
    return Finding("Clock", is_good=True, detail="not compared: no upstream has named a time")
