"""The streams of responses: numbered events, of which one says how the response ended."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.errors.upstream import UpstreamTruncated
from proxy.stream.completions import DONE, Rewrite
from proxy.stream.event_json import read_event, write_event
from proxy.stream.sse import Event
from proxy.stream.typed_events import TypedEvents

ENDS = ("completed", "failed", "incomplete", "cancelled", "canceled", "done", "expired", "aborted", "terminated")
LAST = frozenset(f"response.{end}" for end in ENDS)  # OpenAI's, and those of gateways
LAST_OF_ENDLESS = re.compile(rb'"type": ?"(response\.(?:%b))"' % "|".join(ENDS).encode())
ONE_STATE = re.compile(r"response\.[a-z_]+")  # an event about the whole response, not about a part of it


class ResponsesDialect(TypedEvents):
    """Follow one such stream."""

    def __init__(self, *, hide: Rewrite | None = None) -> None:
        super().__init__(hide=hide)
        self._number = -1

    def see(self, event: Event) -> bytes:
        """Return what goes to the client in the event's place; raises UpstreamFailure."""
        data = event.data or b""
        self._is_ordinary = False
        if data.strip() == DONE:
            return self._see_done(event)
        if not event.whole:
            self.is_complete |= event.name in LAST or LAST_OF_ENDLESS.search(data) is not None
            return event.raw
        value = read_event(data)
        if not isinstance(value, dict):
            return event.raw
        kind = named if isinstance(named := value.get("type"), str) and named else event.name
        if isinstance(number := value.get("sequence_number"), int):
            self._number = max(self._number, number)
        if kind == "error" or (value.get("error") and "response" not in value):
            return self._see_error(event)
        if is_last(kind, value):
            self._see_last(value)
        self._is_ordinary = kind.endswith(".delta")
        return event.raw

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """Write an error as this API does, with the next number."""
        return error_event(error, self._number + 1)

    def _see_done(self, event: Event) -> bytes:
        if not self.is_settled and not self.is_complete:
            raise UpstreamTruncated("its end came before response.completed")
        self.is_over = True
        return event.raw

    def _see_last(self, value: Mapping[str, Any]) -> None:
        self.is_complete = True
        response = value.get("response")
        usage = response.get("usage") if isinstance(response, dict) else None
        self.usage = usage if isinstance(usage, dict) else self.usage


def is_last(kind: str, value: Mapping[str, Any]) -> bool:
    """Tell whether an event says how the response ended: by its name, or by the state of the response it holds."""
    if kind in LAST:
        return True
    response = value.get("response")
    status = response.get("status") if isinstance(response, dict) else None
    return isinstance(status, str) and status in ENDS and ONE_STATE.fullmatch(kind) is not None


def error_event(error: Mapping[str, Any], number: int = 0) -> bytes:
    """Write an error event of the responses API, both as documented (flat) and as the API really sends it (nested).

    The nested one makes the SDKs raise: a program that looks for text alone would overlook the flat one.
    """
    told = {name: error.get(name) for name in ("code", "message", "param")}
    nested = {"type": error.get("type"), **told}
    return write_event({"type": "error", **told, "sequence_number": number, "error": nested}, "error")
