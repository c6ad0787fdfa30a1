"""The streams of chat completions and of the older completions: choices with a finish_reason each, then [DONE]."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from proxy.errors.upstream import UpstreamFailure, UpstreamTruncated
from proxy.stream.event_json import read_event, write_event
from proxy.stream.sse import Event

DONE = b"[DONE]"
DONE_EVENT = b"data: [DONE]\n\n"
FINISH = re.compile(rb'"finish_reason": ?"[a-z_]+"')

Rewrite = Callable[[bytes], bytes]


class FinishHabits(Protocol):
    """What is known of an upstream's streams of one model."""

    def note_done(self, *, has_finish: bool) -> bool:
        """Take note of a stream that came to its `[DONE]`; return whether one without a finish_reason is whole."""


class CompletionsDialect:
    """Follow one such stream.

    `habits`: what the upstream is known to do; it is told how a stream with its `[DONE]` ended.
    `asked_usage`: the client asked for the usage chunk, and misses it where it does not come.
    `without_usage`: given where the proxy alone asked for it; takes the usage out of an event's JSON.
    `hide`: takes keys out of what the upstream says of an error.
    """

    def __init__(
        self,
        *,
        asked_usage: bool = False,
        without_usage: Rewrite | None = None,
        hide: Rewrite | None = None,
        habits: FinishHabits | None = None,
    ) -> None:
        self.usage: Mapping[str, Any] | None = None
        self.is_over = False
        self.is_complete = False
        self.is_settled = False
        self._asked_usage = asked_usage
        self._without_usage = without_usage
        self._hide = hide
        self._habits = habits
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._is_ordinary = False

    def see(self, event: Event) -> bytes:
        """Return what goes to the client in the event's place; raises UpstreamFailure."""
        data = event.data or b""
        self._is_ordinary = False
        if data.strip() == DONE:
            return self._see_done(event)
        if not event.whole:
            self._note_choice(0, is_finished=FINISH.search(data) is not None)
            return event.raw
        value = read_event(data)
        if not isinstance(value, dict):
            return event.raw
        if value.get("error") or event.name == "error":
            self.is_settled = True
            return self._hide(event.raw) if self._hide else event.raw
        return self._see_chunk(event, data, value)

    def ending(self, failure: UpstreamFailure | None) -> bytes | None:
        """Return [DONE] where every choice has finished; a client that asked for usage gets no end in its place."""
        misses_usage = failure is not None and self._asked_usage and self.usage is None
        return DONE_EVENT if self._is_finished() and not misses_usage else None

    def is_ordinary(self) -> bool:
        """Tell whether the last event seen said nothing but some text."""
        return self._is_ordinary

    @staticmethod
    def error_event(error: Mapping[str, Any]) -> bytes:
        """Write an error object as the SDKs read it in a stream."""
        return write_event({"error": error})

    def _see_done(self, event: Event) -> bytes:
        is_whole = self._is_finished() or self.is_settled
        if self._habits is not None and not self.is_settled and (self._finished or self._open):
            is_whole |= self._habits.note_done(has_finish=bool(self._finished))
        if not is_whole:
            raise UpstreamTruncated("its end came before a finish_reason")
        self.is_over = True
        return event.raw

    def _see_chunk(self, event: Event, data: bytes, value: dict[str, Any]) -> bytes:
        found = value.get("choices")
        choices = found if isinstance(found, list) else []
        usage = value.get("usage")
        is_finish = False
        for choice in choices:
            is_finish |= self._see_choice(choice)
        if isinstance(usage, dict) and usage:
            self.usage = usage
        else:
            self._is_ordinary = bool(choices) and not is_finish
        if self._without_usage is None or "usage" not in value:
            return event.raw
        is_last = not found if not choices else self._is_finished()
        if usage:  # with words, it would have come unasked too
            return b"" if is_last and not any(map(says_something, choices)) else event.raw
        return replaced_data(event, data, self._without_usage(data))

    def _see_choice(self, choice: object) -> bool:
        if not isinstance(choice, dict):
            return False
        index = choice.get("index")
        is_finished = bool(choice.get("finish_reason"))
        self._note_choice(index if isinstance(index, int) else 0, is_finished=is_finished)
        return is_finished

    def _note_choice(self, index: int, *, is_finished: bool) -> None:
        if is_finished:
            self._open.discard(index)
            self._finished.add(index)
        elif index not in self._finished:
            self._open.add(index)

    def _is_finished(self) -> bool:
        return bool(self._finished) and not self._open


def says_something(choice: object) -> bool:
    """Tell whether a choice holds anything but its index and the role."""
    if not isinstance(choice, dict):
        return choice is not None
    delta = choice.get("delta")
    parts = delta if isinstance(delta, dict) else {"delta": delta}
    rest = {name: part for name, part in choice.items() if name not in ("index", "delta")}
    return any(rest.values()) or any(part for name, part in parts.items() if name != "role")


def replaced_data(event: Event, data: bytes, other: bytes) -> bytes:
    """Return an event with other data in its lines."""
    if other == data:
        return event.raw
    if data in event.raw:
        return event.raw.replace(data, other)
    ending = b"\r\n" if b"\r\n" in event.raw else b"\n"  # several data lines, which are joined
    lines = [line for line in event.raw.splitlines() if line and line.partition(b":")[0] != b"data"]
    return ending.join([*lines, *(b"data: " + line for line in other.splitlines())]) + ending + ending
