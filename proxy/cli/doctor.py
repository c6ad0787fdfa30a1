"""Look for common problems: a list of checks, each with one finding that says what to do."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol
from urllib.parse import urlsplit

import psutil

from proxy import paths, running
from proxy.command import command
from proxy.errors.proxy_error import ProxyError
from proxy.flow.healths import Healths
from proxy.flow.upstream_state import HEALTHY, UpstreamState
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.upstream_key import Secrets
from proxy.server.ports import other_at_localhost
from proxy.settings.parsing import is_loopback
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import Upstream
from proxy.tools.execution import ToolExecution
from proxy.upstream.habits import Habits

MIN_FREE_MB = 100
NO_KEY = "none"  # what an upstream on this computer is shown where there is none, for the SDK wants one


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    title: str
    is_good: bool
    detail: str


class Learned(Protocol):
    """What was learnt of models."""

    def all(self) -> Sequence[object]:
        """Return each thing that was learnt, which says itself what."""


class Examined(Protocol):
    """What the checks look at."""

    @property
    def store(self) -> SettingsStore:
        """Return the settings."""

    @property
    def secrets(self) -> Secrets:
        """Return the upstream's key."""

    @property
    def proxy_keys(self) -> ProxyKeys:
        """Return the proxy keys."""

    @property
    def tools(self) -> ToolExecution:
        """Return the tools."""

    @property
    def habits(self) -> Habits:
        """Return what upstreams were seen to do."""

    @property
    def learned_repairs(self) -> Learned:
        """Return what models were found to refuse."""

    @property
    def health(self) -> Healths:
        """Return what the last requests tell of the upstreams."""

    def state_of(self, upstream: Upstream) -> UpstreamState:
        """Return how an upstream is doing."""

    def try_key(self, key: str) -> str | None:
        """Return what the upstream says against a key; blocks."""


def examine(parts: Examined) -> list[Finding]:
    """Run every check; takes some seconds, for it asks the keyring and the upstream. Not for the event loop."""
    return [run(check, parts) for check in CHECKS]


def as_text(findings: list[Finding], *, as_json: bool) -> str:
    """Return the findings for people, or as JSON."""
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
    return "\n".join(f"{'OK   ' if each.is_good else 'WRONG'}  {each.title}: {each.detail}" for each in findings)


def run(check: Callable[[Examined], Finding], parts: Examined) -> Finding:
    """Run a check; one that breaks is a finding too."""
    try:
        return check(parts)
    except Exception as error:  # noqa: BLE001  a check must not keep the others from being made
        title = (check.__doc__ or check.__name__).rstrip(".")
        return Finding(title, is_good=False, detail=str(error) if isinstance(error, ProxyError) else repr(error))


def check_settings(parts: Examined) -> Finding:
    """Read the settings file."""
    store = parts.store
    if store.warning is not None:
        return Finding("Settings file", is_good=False, detail=store.warning)
    return Finding("Settings file", is_good=True, detail=str(store.path) if store.path.exists() else "none; defaults")


def check_environment(parts: Examined) -> Finding:
    """Look for variables that do not count."""
    passed_over = parts.store.passed_over
    if homeless := paths.missing_home():
        return Finding("Environment", is_good=False, detail=f"{homeless}.")
    return Finding(
        "Environment", is_good=True, detail=" ".join(f"{sentence}." for sentence in passed_over) or "nothing odd"
    )


def check_log(parts: Examined) -> Finding:  # noqa: ARG001  every check takes the parts
    """Look whether the log can be written."""
    folder = paths.log_file().parent
    there = next(place for place in (folder, *folder.parents) if place.exists())  # it is made at the first start
    if there.is_dir() and os.access(there, os.W_OK):
        return Finding("Log", is_good=True, detail=str(paths.log_file()))
    return Finding("Log", is_good=False, detail=f"{folder} cannot be written; make it yours")


def check_key(parts: Examined) -> Finding:
    """Look for the upstream key."""
    state = parts.secrets.state if parts.secrets.state.key else parts.secrets.load()
    if state.key is None and is_local(parts):
        return Finding("Upstream key", is_good=True, detail="none: an upstream on this computer is asked without one")
    missing = f"not set: store it with `{command('key set')}`, enter it on the program's page, or set OPENAI_API_KEY"
    is_missing = state.key is None and state.problem is None
    return Finding("Upstream key", is_good=state.key is not None, detail=missing if is_missing else str(state))


def check_upstream(parts: Examined) -> Finding:
    """Ask the upstream whether it accepts the key."""
    if not parts.store.is_known:
        return Finding("Upstream", is_good=False, detail="not asked: which one you have chosen is not known")
    url, key = parts.store.current.openai_base_url, parts.secrets.state.key
    if key is None and not is_local(parts):
        return Finding("Upstream", is_good=False, detail=f"{url} was not asked: there is no key")
    refusal = parts.try_key(key or NO_KEY)
    return Finding("Upstream", is_good=refusal is None, detail=refusal or f"{url} accepts the key")


def is_local(parts: Examined) -> bool:
    """Tell whether the upstream is on this computer, and needs no key."""
    return parts.store.is_known and is_loopback(urlsplit(parts.store.current.openai_base_url).hostname or "")


def check_access(parts: Examined) -> Finding:
    """Look whether somebody can get in at all."""
    parts.proxy_keys.reload()  # where the keyring is open: the last check has asked its user
    making = f"`{command('proxy-key new NAME')}` makes one"
    if parts.store.current.proxy_require_api_key and not parts.proxy_keys.current:
        return Finding("Proxy keys", is_good=False, detail=f"one is asked for, but there is none: {making}")
    asked = "asked for" if parts.store.current.proxy_require_api_key else "not asked for"
    return Finding("Proxy keys", is_good=True, detail=f"{len(parts.proxy_keys.current)} there, {asked}")


def check_tools(parts: Examined) -> Finding:
    """Look whether the tools can be loaded and their servers come up, where tools are on."""
    if not parts.store.current.enable_tool_execution:
        return Finding("Tools", is_good=True, detail="off")
    count, problems = parts.tools.examine()
    return Finding("Tools", is_good=not problems, detail=" ".join(problems) or f"{count} ready")


def check_upstreams(parts: Examined) -> Finding:
    """Say how each upstream is doing, as the last requests of a running proxy tell."""
    rows = parts.store.current.upstreams
    told = running.upstream_states(paths.runtime_dir(), parts.store.current.proxy_port)
    if not told and not parts.health.knows_any:
        names = ", ".join(row.name for row in rows)
        return Finding("Upstreams", is_good=True, detail=f"{names}; no proxy has asked them yet")
    states = {row.name: told.get(row.name) or str(parts.state_of(row)) for row in rows}
    is_good = all(state == HEALTHY for state in states.values())
    return Finding("Upstreams", is_good, "; ".join(f"{name} {state}" for name, state in states.items()))


def check_learned(parts: Examined) -> Finding:
    """Say which parameters are left out for which models."""
    learned = [str(each) for each in parts.learned_repairs.all()]
    forgetting = f"; `{command('upstream forget-repairs')}` forgets them" if learned else ""
    return Finding("Learnt of models", is_good=True, detail=("; ".join(learned) or "nothing") + forgetting)


def check_habits(parts: Examined) -> Finding:
    """Say what was learnt of upstreams that changes how they are asked, or when their answers count as whole."""
    return Finding("Learnt of upstreams", is_good=True, detail="; ".join(parts.habits.described()) or "nothing unusual")


def check_running(parts: Examined) -> Finding:
    """Look whether a proxy of this user runs, answers, and listens where the settings want it."""
    instances = running.found(paths.runtime_dir())
    if not instances:
        return Finding("Running proxy", is_good=True, detail=f"none; `{command('serve')}` starts one")
    wanted, told, is_good = parts.store.current.proxy_port, [], True
    for each in instances:
        if not psutil.pid_exists(each.pid):
            told.append(f"process {each.pid} at port {each.port} was killed")
        elif running.ask(each, "link") is None:
            is_good = False
            told.append(f"process {each.pid} at port {each.port} does not answer: start with --replace to end it")
        else:
            elsewhere = f", the settings want port {wanted}" if wanted not in (0, each.port) else ""
            told.append(f"process {each.pid} answers at port {each.port}{elsewhere}")
    return Finding("Running proxy", is_good, "; ".join(told))


def check_localhost(parts: Examined) -> Finding:  # noqa: ARG001  every check takes the parts
    """Look whether another program answers tools that say localhost."""
    found = [
        other_at_localhost(urlsplit(each.url).hostname or "", each.port or 0, each.pid)
        for each in running.found(paths.runtime_dir())
        if psutil.pid_exists(each.pid)
    ]
    told = [sentence for sentence in found if sentence]
    return Finding("localhost", not told, "; ".join(told) or "nobody else listens there")


def check_disk(parts: Examined) -> Finding:  # noqa: ARG001  every check takes the parts
    """Look whether there is room for the log, the settings and the usage."""
    folder = paths.log_file().parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free_mb = shutil.disk_usage(there).free // 1_000_000
    is_good = free_mb >= MIN_FREE_MB
    return Finding("Disk", is_good, f"{free_mb} MB free at {there}{'' if is_good else '; make room there'}")


CHECKS = (
    *(check_running, check_localhost, check_settings, check_environment, check_log, check_disk),
    *(check_key, check_upstream, check_upstreams, check_access, check_tools, check_habits, check_learned),
)
