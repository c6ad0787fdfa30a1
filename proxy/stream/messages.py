"""The streams of Claude's messages: typed events from message_start to message_stop.

Source: Anthropic's documentation of streaming, and what its official SDK reads.
"""

from collections.abc import Mapping
from typing import Any

from proxy.errors.upstream import UpstreamTruncated
from proxy.stream.completions import DONE
from proxy.stream.event_json import read_event, write_event
from proxy.stream.sse import Event
from proxy.stream.typed_events import TypedEvents

STOP = "message_stop"
# The kinds of error this API has, by status.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
API_ERROR = "api_error"


class MessagesDialect(TypedEvents):
    """Follow one such stream."""

    def see(self, event: Event) -> bytes:
        """Return what goes to the client in the event's place; raises UpstreamFailure."""
        data = event.data or b""
        self._is_ordinary = False
        if data.strip() == DONE:  # some gateways end every stream of theirs like this
            return self._see_done(event)
        if not event.whole:
            self.is_complete |= event.name == STOP
            return event.raw
        value = read_event(data)
        if not isinstance(value, dict):
            return event.raw
        kind = value.get("type") or event.name
        if kind == "error":
            return self._see_error(event)
        if kind == STOP:
            self.is_complete = True
        elif kind == "message_start":
            message = value.get("message")
            self._count(message.get("usage") if isinstance(message, dict) else None)
        elif kind == "message_delta":
            self._count(value.get("usage"))
        self._is_ordinary = kind == "content_block_delta"
        return event.raw

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """Write an error as this API does."""
        return error_event(error)

    def _see_done(self, event: Event) -> bytes:
        if not self.is_settled and not self.is_complete:
            raise UpstreamTruncated("its end came before message_stop")
        self.is_over = True
        return event.raw

    def _count(self, usage: object) -> None:
        """Take the tokens told so far; a later count replaces an earlier one of its name."""
        if isinstance(usage, dict):
            told = {name: value for name, value in usage.items() if value is not None}
            self.usage = {**(self.usage or {}), **told}


def error_event(error: Mapping[str, Any]) -> bytes:
    """Write an error object as the event that makes the official SDK raise."""
    return write_event(error_object(error, API_ERROR), "error")


def error_object(error: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return an error in this API's form; the code of ours stays beside its type."""
    told = {"type": kind, "message": error.get("message") or ""}
    if error.get("code"):
        told["code"] = error["code"]
    return {"type": "error", "error": told}
