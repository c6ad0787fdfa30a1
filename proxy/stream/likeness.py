"""Recognise events that differ from one already understood within a few texts, or in their number, only.

The events of a stream are alike but for a few words, so most need not be read as JSON: what surrounds the words is the
same bytes, and what stands between is looked at for being the inside of one JSON string.
"""

import re

# What changes from event to event (no string can hold such a name unescaped), and the inside of a JSON string.
CHANGING = re.compile(
    rb'"(?:content|text|arguments|reasoning_content|reasoning|delta|obfuscation)": ?"|"sequence_number": ?(?=\d)'
)
NUMBER = re.compile(rb"\d+")
INSIDE = re.compile(rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
QUOTE = ord('"')
TRIES = 16  # a stream whose events differ elsewhere too is not studied for ever


class Likeness:
    """What the events of one stream have in common: the parts between what changes."""

    def __init__(self) -> None:
        self._parts: tuple[bytes, ...] = ()
        self._given: tuple[bytes, ...] = ()  # what stands for the parts, where they are not passed on as they are
        self._tries = TRIES

    def learn(self, raw: bytes, given: bytes) -> None:
        """Study an event that said nothing but some text, and what the client was given for it."""
        if self._tries == 0 or not raw.endswith(b"\n\n"):
            return
        self._tries -= 1
        parts, given_parts = around_changes(raw), around_changes(given)
        if len(parts) == len(given_parts) > 1:
            self._parts, self._given = parts, given_parts if given != raw else ()

    def pass_on(self, chunk: bytes) -> tuple[int, bytes]:
        """Return how far a chunk consists of such events, and what goes to the client for that."""
        size, place = len(chunk), 0
        while place < size and (end := self._end_of_event(chunk, place)):
            place = end
        if not self._given or not place:
            return place, chunk if place == size else chunk[:place]
        return place, self._replaced(chunk[:place])

    def _end_of_event(self, chunk: bytes, place: int) -> int:
        """Return where an event like those known ends that begins here, 0 where it is unlike them."""
        start = 0
        for part in self._parts:
            if start:
                place = end_of_change(chunk, start)
            if not chunk.startswith(part, place):
                return 0
            start = place + len(part)
        return start

    def _replaced(self, events: bytes) -> bytes:
        """Return whole events with their parts replaced and their texts kept."""
        pieces: list[bytes] = []
        place = 0
        while place < len(events):
            for number, part in enumerate(self._parts):
                end = end_of_change(events, place) if number else place
                pieces += (events[place:end], self._given[number])
                place = end + len(part)
        return b"".join(pieces)


def around_changes(raw: bytes) -> tuple[bytes, ...]:
    """Return the parts of an event before, between and after what changes."""
    parts, place = [], 0
    while found := CHANGING.search(raw, place):
        parts.append(raw[place : found.end()])
        place = end_of_change(raw, found.end())
    return (*parts, raw[place:])


def end_of_change(raw: bytes, start: int) -> int:
    """Return where a text ends whose quotation mark stands before `start`, or a number that begins there."""
    inside = (INSIDE if raw[start - 1] == QUOTE else NUMBER).match(raw, start)
    return inside.end() if inside else len(raw) + 1  # where no number is nothing fits
