"""Recognise a chunk that differs from one already understood within a single text only.

The events of a stream are alike but for a few words, so most need not be read as JSON: what surrounds the words is the
same bytes, and what stands between is looked at for being the inside of one JSON string.
"""

import re

# The texts that change from event to event, and the inside of a JSON string.
TEXT = re.compile(rb'"(?:content|text|arguments|reasoning_content|reasoning)": ?"')
INSIDE = re.compile(rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*')
TRIES = 16  # a stream whose events differ elsewhere too is not studied for ever


class Likeness:
    """What the events of one stream have in common."""

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._given: tuple[bytes, bytes] | None = None  # what stands for the two, where they are not passed on as is
        self._tries = TRIES

    def learn(self, raw: bytes, given: bytes) -> None:
        """Study an event that said nothing but some text, and what the client was given for it."""
        if self._tries == 0 or not raw.endswith(b"\n\n"):
            return
        self._tries -= 1
        ends, given_ends = around_text(raw), around_text(given)
        if ends is not None and given_ends is not None:
            self._before, self._after = ends
            self._given = given_ends if given != raw else None

    def pass_on(self, chunk: bytes) -> tuple[int, bytes]:
        """Return how far a chunk consists of such events, and what goes to the client for that."""
        before, after = self._before, self._after
        if not before:
            return 0, b""
        place, pieces = 0, []
        while chunk.startswith(before, place):
            start = place + len(before)
            end = INSIDE.match(chunk, start).end()  # type: ignore[union-attr]  # it matches nothing too
            if not chunk.startswith(after, end):
                break
            place = end + len(after)
            if self._given is not None:
                pieces.append(self._given[0] + chunk[start:end] + self._given[1])
        if self._given is not None:
            return place, b"".join(pieces)
        return place, chunk if place == len(chunk) else chunk[:place]


def around_text(raw: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and after the last text in an event, None where there is none."""
    start = max((found.end() for found in TEXT.finditer(raw)), default=0)
    if not start:
        return None
    end = INSIDE.match(raw, start).end()  # type: ignore[union-attr]  # as above
    return raw[:start], raw[end:]
