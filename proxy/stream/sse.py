"""Cut a stream of server-sent events at its borders, whatever the chunks it arrives in. Does no input or output.

    splitter = EventSplitter()
    for chunk in arriving:
        for event in splitter.feed(chunk):    # an event is here once the blank line that ends it is
            event.raw                         # its bytes, as they came
            event.data                        # what its data: lines say, joined by LF; None where it has none
            event.name                        # what its event: line says, "" where it has none
    rest = splitter.end()                     # None, or what came after the last border

The raw pieces joined, the rest among them, are the stream byte for byte. Comments and blank lines between events are
pieces of their own, without data, and come out as soon as their line is complete. Who will not hold a long event until
it ends takes what has come of it with `take_open`; its `raw` is then what remained, its `data` still everything, but
for the middle of an event above the limit of what is kept (`whole` is False then).
The format is https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
"""

import re
from typing import NamedTuple

KEPT_BYTES = 262_144  # how much of an event that was taken early is remembered
KEPT_ENDS_BYTES = 4_096  # of a longer one, so much at either end

# A line ends with LF, CRLF or CR. A CR that came last may be half of a CRLF, so its line has not ended yet.
LINE_END = rb"(?:\n|\r\n|\r(?=[^\n]))"
BORDER = re.compile(LINE_END + LINE_END + rb"+|\r\r\Z")  # but two CRs are no half of anything anybody sends
BETWEEN = re.compile(rb"(?:(?::[^\r\n]*)?" + LINE_END + rb")+")  # blank lines and comments before an event
MAX_BORDER_BYTES = 4
PLAIN_BYTES = 65_536
CR = b"\r"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event, or what stands between two."""

    raw: bytes
    data: bytes | None
    name: str = ""
    whole: bool = True


class EventSplitter:
    """Take chunks, give back what is complete."""

    def __init__(self) -> None:
        self._open = bytearray()  # the event that has not ended yet
        self._taken = 0  # so many bytes of it were handed out already
        self._searched = 0  # no border begins before here
        self._whole = True
        self._began = False

    @property
    def open_bytes(self) -> int:
        """Return how much of an unfinished event is held back; 0 also where all of it was taken."""
        return len(self._open) - self._taken

    @property
    def at_border(self) -> bool:
        """Tell whether something may be put into the stream here without landing inside an event."""
        return not self._open

    @property
    def is_taken(self) -> bool:
        """Tell whether some of an unfinished event was handed out."""
        return self._taken > 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events this chunk completes."""
        if self._is_plain(chunk):
            self._began = True
            *whole, rest = (bytes(self._open) + chunk if self._open else chunk).split(b"\n\n")
            events = [event for piece in whole for event in read_plain(piece)]
            self._open[:] = b""
            self._searched = 0
            if not rest:
                return events
            chunk = rest
        else:
            events = []
        self._open += chunk
        while found := self._find_end():
            raw = bytes(self._open[:found])
            events.append(self._event(raw))
            del self._open[:found]
            self._taken = self._searched = 0
            self._whole = True
        self._searched = max(len(self._open) - MAX_BORDER_BYTES, 0)
        return events

    def take_open(self) -> bytes:
        """Hand out what has come of the unfinished event and was not handed out before."""
        taken = bytes(self._open[self._taken :])
        if len(self._open) > KEPT_BYTES:
            del self._open[KEPT_ENDS_BYTES:-KEPT_ENDS_BYTES]
            self._searched = max(len(self._open) - MAX_BORDER_BYTES, 0)
            self._whole = False
        self._taken = len(self._open)
        return taken

    def end(self) -> Event | None:
        """Return what is left when no more comes: an event whose blank line is missing, or a piece of one."""
        if not self._open:
            return None
        rest = self._event(bytes(self._open))
        self._open.clear()
        self._taken = 0
        return rest

    def _is_plain(self, chunk: bytes) -> bool:
        """Tell whether lines end with LF alone, as nearly everywhere: then the borders are found at once."""
        is_known = self._began or (not self._open and chunk.startswith((b"data:", b"event:")))
        return (
            is_known and len(self._open) < PLAIN_BYTES and not self._taken and CR not in chunk and CR not in self._open
        )

    def _find_end(self) -> int:
        """Return where the first complete piece ends, 0 where there is none."""
        if not self._taken:
            between = BETWEEN.match(self._open, len(BYTE_ORDER_MARK) if self._has_mark() else 0)
            if between:
                return between.end()
        border = BORDER.search(self._open, self._searched)
        return border.end() if border else 0

    def _event(self, raw: bytes) -> Event:
        data, name = read_fields(raw.removeprefix(BYTE_ORDER_MARK) if self._has_mark() else raw)
        self._began = True
        return Event(raw[self._taken :], data, name, self._whole)

    def _has_mark(self) -> bool:
        return not self._began and self._open.startswith(BYTE_ORDER_MARK)


def read_plain(piece: bytes) -> list[Event]:
    """Return the event of a piece without CR and without its blank line, after what stands between it and the last."""
    raw = piece + b"\n\n"
    if piece.startswith(b"data: ") and b"\n" not in piece:
        return [Event(raw, piece[6:])]
    between = BETWEEN.match(raw)
    if between is None:
        return [Event(raw, *read_fields(raw))]
    rest = raw[between.end() :]
    return [Event(between[0], None), *([Event(rest, *read_fields(rest))] if rest else [])]


def read_fields(raw: bytes) -> tuple[bytes | None, str]:
    """Return the data and the name of an event; other fields and comments say nothing here."""
    data: list[bytes] = []
    name = b""
    for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return b"\n".join(data) if data else None, name.decode("utf-8", "replace")
