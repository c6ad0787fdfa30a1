"""The observer that writes one line of the log for each request that is over."""

import logging

from proxy.errors.upstream import UpstreamFailure, UpstreamTlsFailure, UpstreamUnexpectedStatus
from proxy.flow.flow import Flow, Outcome
from proxy.flow.observers import Observer
from proxy.http.headers import Headers

SWITCHING_PROTOCOLS = 101
UNREMARKABLE = (Outcome.WHOLE, Outcome.REFUSED_BY_UPSTREAM)  # the status says it all

log = logging.getLogger(__name__)


class LogLine(Observer):
    """Write the line."""

    def answered(self, flow: Flow, headers: Headers) -> None:  # noqa: ARG002  an observer's signature
        """Write that a WebSocket is open: it may stay so for days."""
        if flow.status == SWITCHING_PROTOCOLS:
            log.info("%s %s %s 101 open", flow.id, flow.method, flow.path)

    def ended(self, flow: Flow) -> None:
        """Write it; the text is made where the log makes it, and only where somebody reads it."""
        log.log(level_of(flow), "%s", Line(flow))


class Line:
    """A flow that is over, as a line of text."""

    __slots__ = ("_flow",)

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def __str__(self) -> str:
        flow = self._flow
        key = f" [{flow.key_name}]" if flow.key_name else ""
        status = "101 closed" if flow.status == SWITCHING_PROTOCOLS else flow.status
        numbers = (f"{flow.last_byte_s or 0:.3f} s", status, flow.usage)
        said = " ".join(str(number) for number in numbers if number)
        return "; ".join([f"{flow.id}{key} {flow.method} {flow.path} {said}", *notes_on(flow)])


def notes_on(flow: Flow) -> list[str]:
    """Return what else there is to say of a flow."""
    model = flow.model_asked
    if model and flow.model_sent and flow.model_sent != model:
        model = f"{model} sent as {flow.model_sent}"
    told = {
        "model": model,
        "client": flow.client,
        "upstream": flow.upstream,
        "first byte": None if flow.first_byte_s is None else f"{flow.first_byte_s:.3f} s",
        "attempts": flow.attempts if flow.attempts > 1 else None,
        "bytes up": flow.bytes_up if flow.status == SWITCHING_PROTOCOLS else None,
        "bytes down": flow.bytes_down if flow.status == SWITCHING_PROTOCOLS else None,
        "tool rounds": len(flow.tool_rounds) or None,
    }
    notes = [f"{name} {value}" for name, value in told.items() if value]
    notes += flow.repairs
    if flow.refused_for == "credit":
        notes.append("the upstream account is out of credit")
    if flow.outcome not in UNREMARKABLE and flow.outcome is not None:
        notes.append(f"{flow.outcome.value}{f': {flow.failure}' if flow.failure else ''}")
    return notes


def level_of(flow: Flow) -> int:
    """Return the log level: what the caller did wrong is no warning; what the user must mend is loud."""
    status = flow.status or 0
    if flow.is_probe:
        return logging.DEBUG
    if flow.outcome is Outcome.REFUSED_BY_PROXY:
        return logging.WARNING if status >= 500 else logging.INFO
    if (
        isinstance(flow.failure, (UpstreamTlsFailure, UpstreamUnexpectedStatus))
        or status == 401
        or flow.refused_for == "key"
    ):
        return logging.ERROR
    return (
        logging.WARNING
        if isinstance(flow.failure, UpstreamFailure) or status in (402, 403, 429) or status >= 500
        else logging.INFO
    )
