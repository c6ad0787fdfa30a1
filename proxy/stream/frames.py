"""Where in a WebSocket's bytes a frame ends and the next begins: lengths are read, no more (RFC 6455, section 5.2)."""

import os

CLOSE = 0x88
MASKED = 0x80
SHORT = 125  # the longest payload whose length stands in the second byte
WIDE = {126: 2, 127: 8}  # bytes that give the length of a longer one
GOING_AWAY = (1001).to_bytes(2, "big")

# By its second byte: how long a frame is, 0 where that byte does not tell.
SPANS = [
    2 + (second & ~MASKED) + (4 if second & MASKED else 0) if (second & ~MASKED) <= SHORT else 0
    for second in range(256)
]


class FrameBorder:
    """Follow the frames that go one way; nothing of them is kept but the few bytes of a head that is not whole."""

    __slots__ = ("_head", "_left", "is_closed")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0  # bytes still to come of the frame under way
        self.is_closed = False  # a close frame has come: nothing may follow it

    @property
    def is_here(self) -> bool:
        """Tell whether the bytes so far end between two frames."""
        return not (self._left or self._head)

    def follow(self, data: bytes) -> None:
        """Take note of the next bytes."""
        size = len(data)
        if self._left >= size:
            self._left -= size
            return
        if self._head:
            data, self._head = self._head + data, b""
            size = len(data)
        begin = self._left
        while begin + 1 < size:
            end = begin + (SPANS[data[begin + 1]] or wide_span(data, begin))
            if end == begin:
                break
            if data[begin] == CLOSE:
                self.is_closed = True
            begin = end
        self._head = data[begin:]
        self._left = max(begin - size, 0)


def wide_span(data: bytes, begin: int) -> int:
    """Return how long the frame is that begins there, 0 where its length is not there yet."""
    second = data[begin + 1]
    payload = begin + 2 + WIDE[second & ~MASKED]
    if payload > len(data):
        return 0
    length = int.from_bytes(data[begin + 2 : payload], "big")
    return payload - begin + length + (4 if second & MASKED else 0)


def close_frame(*, masked: bool) -> bytes:
    """Return a close frame that says "going away"; what goes to a server is masked."""
    if not masked:
        return bytes([CLOSE, len(GOING_AWAY)]) + GOING_AWAY
    mask = os.urandom(4)
    hidden = bytes(byte ^ mask[place] for place, byte in enumerate(GOING_AWAY))
    return bytes([CLOSE, MASKED | len(GOING_AWAY)]) + mask + hidden
