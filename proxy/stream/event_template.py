"""Recognise events that differ from one already understood within a few texts, or in their number, only.

The events of a stream are alike but for a few words, so most need not be read as JSON: what surrounds the words is the
same bytes, and what stands between is looked at for being the inside of one JSON string.
"""

import re
from typing import NamedTuple

# What changes from event to event (no string can hold such a name unescaped), and the inside of a JSON string.
CHANGING = re.compile(
    rb'"(?:content|text|arguments|reasoning_content|reasoning|delta|obfuscation)": ?"|"sequence_number": ?(?=\d)'
)
NUMBER = re.compile(rb"\d+")
INSIDE = re.compile(rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
QUOTE = ord('"')
TRIES = 16  # a stream whose events differ elsewhere too is not studied for ever


class Step(NamedTuple):
    """A part that stays the same, after a change of one kind."""

    kind: "re.Pattern[bytes] | None"  # of what changes before it; None before the first
    part: bytes
    given: bytes  # what the client is given for the part


class EventTemplate:
    """What the events of one stream have in common: the parts between what changes."""

    def __init__(self) -> None:
        self._steps: tuple[Step, ...] = ()
        self._differs = False  # the client is given something else for the parts
        self._tries = TRIES

    def learn(self, raw: bytes, given: bytes) -> None:
        """Study an event that said nothing but some text, and what the client was given for it."""
        if self._tries == 0 or not raw.endswith(b"\n\n"):
            return
        self._tries -= 1
        kinds, parts = around_changes(raw)
        _, given_parts = around_changes(given)
        if len(parts) == len(given_parts) > 1:
            self._steps = tuple(Step(*step) for step in zip(kinds, parts, given_parts, strict=True))
            self._differs = given != raw

    def pass_on(self, chunk: bytes) -> tuple[int, bytes]:
        """Return how far a chunk consists of such events, and what goes to the client for that."""
        if not self._steps:
            return 0, b""
        if self._differs:
            return self._replace_alike(chunk)
        place = self._end_of_alike(chunk)
        return place, chunk if place == len(chunk) else chunk[:place]

    def _end_of_alike(self, chunk: bytes) -> int:
        """Return where the events at a chunk's beginning end that are like those known, 0 where there are none."""
        (_, first, _), *others = self._steps
        place, starts = 0, chunk.startswith
        while starts(first, place):
            start = place + len(first)
            for kind, part, _ in others:
                change = kind.match(chunk, start) if kind is not None else None
                if change is None or not starts(part, change.end()):
                    return place
                start = change.end() + len(part)
            place = start
        return place

    def _replace_alike(self, chunk: bytes) -> tuple[int, bytes]:
        """Return the same, and those events with their parts replaced."""
        pieces: list[bytes] = []
        place = start = 0
        while start < len(chunk):
            told: list[bytes] = []
            for kind, part, given in self._steps:
                change = kind.match(chunk, start) if kind is not None else None
                if change is not None:
                    told.append(change[0])
                    start = change.end()
                if (kind is not None and change is None) or not chunk.startswith(part, start):
                    return place, b"".join(pieces)
                start += len(part)
                told.append(given)
            pieces += told
            place = start
        return place, b"".join(pieces)


def around_changes(raw: bytes) -> tuple[list["re.Pattern[bytes] | None"], list[bytes]]:
    """Return the parts of an event before, between and after what changes, and the kind of each change before one."""
    kinds: list[re.Pattern[bytes] | None] = [None]
    parts, place = [], 0
    while found := CHANGING.search(raw, place):
        kinds.append(INSIDE if raw[found.end() - 1] == QUOTE else NUMBER)
        parts.append(raw[place : found.end()])
        change = (kinds[-1] or INSIDE).match(raw, found.end())
        place = change.end() if change else found.end()
    return kinds, [*parts, raw[place:]]
