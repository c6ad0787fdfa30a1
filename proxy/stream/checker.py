"""Check a stream while it passes: whole events pass as they came, a broken or cut stream ends in an error event."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from proxy.errors.upstream import UpstreamFailure, UpstreamTruncated
from proxy.flow.flow import Fault
from proxy.stream.event_template import EventTemplate
from proxy.stream.keep_alive import KEEP_ALIVE
from proxy.stream.sse import Event, EventSplitter

PING = re.compile(rb"(?<![^\r\n]): ping")  # at the beginning of a line
HELD_BYTES = 65_536  # so much of an unfinished event is held back; more is passed on as it comes


class Dialect(Protocol):
    """What one kind of stream means: one object for each stream."""

    usage: Mapping[str, Any] | None  # what the upstream counted, once it said so
    is_over: bool  # the last event has been seen, and nothing may follow it
    is_complete: bool  # the last event has been seen; what follows it is passed on
    is_settled: bool  # an error has been told, so that the end is not judged

    def see(self, event: Event) -> bytes:
        """Return what goes to the client in the place of an event with data; raises UpstreamFailure."""

    def ending(self, failure: UpstreamFailure | None) -> bytes | None:
        """Return what a stream still lacks that ended like this, None where it is not complete."""

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """Write an error object as the format has it."""

    def is_ordinary(self) -> bool:
        """Tell whether the last event seen said nothing but some text."""


class StreamChecker:
    """Take the upstream's chunks, give out the client's."""

    def __init__(self, dialect: Dialect, note_fault: Callable[[Fault], None] = lambda _: None) -> None:
        self._dialect = dialect
        self._note_fault = note_fault  # is told what the upstream did wrong
        self._splitter = EventSplitter()
        self._template = EventTemplate()
        self._is_clear = True  # no event is unfinished
        self._recognised = b""  # the last chunk of which some was not read
        self.is_over = False  # nothing more is to be taken or given
        self.has_begun = False  # the upstream has said something of its answer
        self.failure: UpstreamFailure | None = None

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted, once it has passed."""
        return self._dialect.usage

    @property
    def at_border(self) -> bool:
        """Tell whether what was given out ends between two events."""
        return not self._splitter.is_taken

    @property
    def is_complete(self) -> bool:
        """Tell whether the last event has passed, after which others may still come."""
        return self._dialect.is_complete

    @property
    def is_settled(self) -> bool:
        """Tell whether the upstream has told an error in the stream."""
        return self._dialect.is_settled

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes to the client now: nothing while an event is not whole."""
        known, given = self._template.pass_on(chunk) if self._is_clear else (0, b"")
        if known:
            self._recognised = chunk
        return given if known == len(chunk) else given + self._read(chunk[known:] if known else chunk)

    def end(self, failure: UpstreamFailure | None = None) -> bytes:
        """Return what is missing when the upstream has ended; raises UpstreamFailure where that cannot be said."""
        last = b"" if self.is_over else self._see_rest(failure)
        if self.is_over:
            return last
        self.is_over = True
        if self._dialect.is_settled or self._dialect.is_complete:
            return last
        ending = self._dialect.ending(failure)
        if ending:
            self._note_fault("no_done")
        return last + (self._fail(failure or UpstreamTruncated("it ended too early")) if ending is None else ending)

    def _read(self, chunk: bytes) -> bytes:
        pieces, was_taken = [], self._splitter.is_taken
        events = self._splitter.feed(chunk)
        for number, event in enumerate(events):
            pieces.append(self._see(event, is_taken=was_taken and number == 0))
            if self.is_over:
                return b"".join(pieces)
        self._is_clear = self._splitter.at_border
        if self._splitter.open_bytes > HELD_BYTES:
            pieces.append(self._splitter.take_open())
        return b"".join(pieces)

    def _see(self, event: Event, *, is_taken: bool) -> bytes:
        if not event.data:
            return without_traps(event)
        known, given = self._template.pass_on(event.raw) if not is_taken else (0, b"")
        if known and known == len(event.raw):  # a chunk had cut it
            self._recognised = event.raw
            return given
        try:
            seen = self._dialect.see(event)
        except UpstreamFailure as failure:
            if self._dialect.is_settled or self._dialect.is_complete:
                return b""
            return (event.raw if is_taken else b"") + self._fail(failure)
        self.is_over = self._dialect.is_over
        if self._dialect.is_settled:
            self._note_fault("error_inside")
        self.has_begun |= self._dialect.is_ordinary()
        if self._dialect.is_ordinary() and not is_taken:
            self._template.learn(event.raw, seen)
        return seen

    def _see_rest(self, failure: UpstreamFailure | None) -> bytes:
        """Return what came after the last border, where it is an event that lacks but its blank line."""
        is_taken = self._splitter.is_taken
        rest = self._splitter.end()
        if rest is None or not rest.data:
            return b""
        try:
            seen = self._dialect.see(rest)
        except UpstreamFailure as broken:
            if is_taken:  # half an event has been shown: nothing that follows would be understood
                self.failure, self.is_over = failure or UpstreamTruncated(), True
                raise self.failure from broken
            return b""
        self.is_over = self._dialect.is_over
        return seen and seen + b"\n\n"

    def _fail(self, failure: UpstreamFailure) -> bytes:
        self.failure, self.is_over = failure, True
        for event in EventSplitter().feed(self._recognised):  # now its number matters
            with suppress(UpstreamFailure):
                self._dialect.see(event)
        return self._dialect.error_event(json.loads(failure.body())["error"])


def without_traps(event: Event) -> bytes:
    """Return a comment, or an event without data, in a form that every client survives.

    To Continue `: ping` is the end of the stream; the SDKs read an empty `data:` as JSON and raise.
    """
    if event.data is not None:
        return KEEP_ALIVE
    return PING.sub(b": keep-alive", event.raw)
