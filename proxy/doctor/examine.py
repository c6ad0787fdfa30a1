"""Run every check in parallel: a slow or failing check does not affect the others."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import asdict, replace

from proxy.doctor import clients, computer, keys, program, upstreams
from proxy.doctor.finding import Check, Examination, Examined, Finding
from proxy.errors.proxy_error import ProxyError
from proxy.logs.redaction import without_logins

CHECKS = (*program.CHECKS, *computer.CHECKS, *keys.CHECKS)
AFTER = (*program.TOOL_CHECKS, *clients.CHECKS)

log = logging.getLogger(__name__)


def examine(parts: Examined) -> list[Finding]:
    """Run every check. It blocks for some seconds, as it asks keyring and upstreams: not on the event loop."""
    examination = Examination(parts)
    checks = (*CHECKS, *upstreams.checks_of(examination), *AFTER)
    began, begun = time.monotonic(), [(check, begin(check, examination)) for check in checks]
    return [clean(await_finding(check, running, began), parts) for check, running in begun]


def as_text(findings: Sequence[Finding], *, as_json: bool) -> str:
    """Return the findings as text for people, or as JSON."""
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
    return "\n".join(f"{'OK   ' if each.is_good else 'WRONG'}  {each.title}: {each.detail}" for each in findings)


def begin(check: Check, examination: Examination) -> "Future[Finding]":
    """Start a check on a daemon thread of its own."""
    outcome: Future[Finding] = Future()
    threading.Thread(
        target=lambda: outcome.set_result(run(check, examination)), name=f"doctor {check.title}", daemon=True
    ).start()
    return outcome


def await_finding(check: Check, running: "Future[Finding]", began: float) -> Finding:
    """Return a check's finding; a timeout is a finding too."""
    try:
        return running.result(max(0.0, began + check.limit_s - time.monotonic()))
    except FutureTimeout:
        return Finding(check.title, is_good=False, detail=f"no answer within {check.limit_s:.0f} s")


def run(check: Check, examination: Examination) -> Finding:
    """Run a check; an exception becomes a finding too."""
    try:
        return check.look(examination)
    except ProxyError as error:
        return Finding(check.title, is_good=False, detail=str(error))
    except Exception as error:  # a check must not keep the others from being made
        log.exception("the doctor could not look at: %s", check.title)
        return Finding(check.title, is_good=False, detail=f"could not be looked at: {error or type(error).__name__}")


def clean(finding: Finding, parts: Examined) -> Finding:
    """Remove keys and logins from a finding."""

    def hide(text: str) -> str:
        return without_logins(parts.hide(text))

    steps = tuple(replace(step, problem=hide(step.problem) if step.problem else None) for step in finding.steps)
    return replace(finding, detail=hide(finding.detail), steps=steps)
