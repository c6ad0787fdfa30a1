"""The streams of chat completions and of the older completions: choices with a finish_reason each, then [DONE]."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.errors.upstream import UpstreamFailure, UpstreamTruncated
from proxy.stream.event_json import read_event, write_event
from proxy.stream.sse import Event

DONE = b"[DONE]"
DONE_EVENT = b"data: [DONE]\n\n"
FINISH = re.compile(rb'"finish_reason": ?"[a-z_]+"')

Rewrite = Callable[[bytes], bytes]


class CompletionsDialect:
    """Follow one such stream.

    `asked_usage`: the client asked for the usage chunk, and misses it where it does not come.
    `without_usage`: given where the proxy alone asked for it; takes a usage of null out of an event's JSON.
    `hide`: takes keys out of what the upstream says of an error.
    """

    def __init__(
        self, *, asked_usage: bool = False, without_usage: Rewrite | None = None, hide: Rewrite | None = None
    ) -> None:
        self.usage: Mapping[str, Any] | None = None
        self.is_over = False
        self.is_settled = False
        self._asked_usage = asked_usage
        self._without_usage = without_usage
        self._hide = hide
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
        if not self._is_finished() and not self.is_settled:
            raise UpstreamTruncated("its end came before a finish_reason")
        self.is_over = True
        return event.raw

    def _see_chunk(self, event: Event, data: bytes, value: dict[str, Any]) -> bytes:
        choices = value.get("choices")
        usage = value.get("usage")
        is_finish = False
        for choice in choices if isinstance(choices, list) else ():
            is_finish |= self._see_choice(choice)
        if isinstance(usage, dict) and usage:
            self.usage = usage
            return b"" if self._without_usage and choices == [] else event.raw
        self._is_ordinary = bool(choices) and not is_finish
        if self._without_usage and usage is None and "usage" in value:
            return event.raw.replace(data, self._without_usage(data))
        return event.raw

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
