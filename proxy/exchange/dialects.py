"""Which endpoints stream in which dialect."""

from collections.abc import Callable
from functools import partial

from proxy.errors.request import InvalidJson
from proxy.exchange.error_shapes import MESSAGES
from proxy.exchange.refusals import hide_in_event
from proxy.exchange.request import StreamOptions
from proxy.policy.body import REMOVED, rewrite
from proxy.stream import messages, responses
from proxy.stream.checker import Dialect
from proxy.stream.completions import CompletionsDialect, FinishHabits
from proxy.stream.keep_alive import ErrorEvent
from proxy.stream.messages import MessagesDialect
from proxy.stream.responses import ResponsesDialect

COMPLETIONS = ("/chat/completions", "/completions")
RESPONSES = "/responses"

Hide = Callable[[str], str]


def error_event_for(path: str) -> ErrorEvent | None:
    """Return what writes an error in the streams of an endpoint, None where its streams are not known."""
    if path in COMPLETIONS:
        return CompletionsDialect.error_event
    if path == MESSAGES:
        return messages.error_event
    return responses.error_event if path == RESPONSES else None


def dialect_for(path: str, options: StreamOptions, hide: Hide, habits: FinishHabits | None = None) -> Dialect | None:
    """Return what follows a stream of an endpoint, None where its streams are not known."""
    hide_bytes = partial(hide_in_event, hide=hide)
    if path in COMPLETIONS:
        without_usage = remove_usage if options.hides_usage else None
        return CompletionsDialect(
            asked_usage=options.asked_usage, without_usage=without_usage, hide=hide_bytes, habits=habits
        )
    if path == RESPONSES or path.startswith(RESPONSES + "/"):
        return ResponsesDialect(hide=hide_bytes)
    if path == MESSAGES:
        return MessagesDialect(hide=hide_bytes)
    return None


def remove_usage(data: bytes) -> bytes:
    """Take the member `usage` out of an event's JSON; what cannot be rewritten stays as it is."""
    try:
        return rewrite(data, {"usage": REMOVED})
    except (ValueError, InvalidJson):  # of another encoding than UTF-8, or nested too deeply
        return data
