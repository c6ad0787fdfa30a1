"""How large a request may be, but for its body: its head, and what wraps the body (chunk sizes, extensions, a trailer).

Checked where the bytes arrive. Nobody reads what wraps a body; it has the limits of a head.
"""

from proxy.errors.request import HeadTooLarge

MAX_TARGET_BYTES = 8_192
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
CHUNK_FRAMING_BYTES = 24  # a size of up to 16 digits, its two line ends, and a little to spare


class BodyFraming:
    """Measure it, for the bodies that follow one another on a connection. Packets are what one read returned."""

    __slots__ = (
        "_around_bytes",
        "_chunks",
        "_has_begun_now",
        "_packet_body_bytes",
        "_trailer_bytes",
        "_trailers",
        "body_bytes",
        "is_bare",
        "is_open",
    )

    def __init__(self) -> None:
        self.is_open = False  # a head is complete, and the end of its body has not come
        self.is_bare = False  # the last packet brought nothing of the open body
        self.body_bytes = 0  # of all bodies so far
        self._packet_body_bytes = self._chunks = 0  # in the packet under way
        self._around_bytes = 0  # of what wraps this body, as far as the chunks that have come do not account for it
        self._trailers = self._trailer_bytes = 0
        self._has_begun_now = False

    def begin(self) -> None:
        """Expect the body of a head that is complete."""
        self.is_open = self._has_begun_now = True
        self._around_bytes = self._trailers = self._trailer_bytes = 0

    def end(self) -> None:
        """Note that the body is complete, with what wraps it."""
        self.is_open = False

    def add_body(self, size_bytes: int) -> None:
        """Count a piece of the body."""
        self.body_bytes += size_bytes
        self._packet_body_bytes += size_bytes

    def add_chunk(self) -> None:
        """Count a chunk, whose size has just been read."""
        self._chunks += 1

    def add_trailer(self, name: bytes, value: bytes) -> None:
        """Count a header behind the body; raises HeadTooLarge."""
        self._trailers += 1
        self._trailer_bytes += len(name) + len(value) + len(": \r\n")
        if self._trailers > MAX_HEADERS:
            raise HeadTooLarge(f"more than {MAX_HEADERS} stand behind the body")
        check_size(self._trailer_bytes)

    def add_packet(self, size_bytes: int) -> None:
        """Count a packet that has been parsed; raises HeadTooLarge for too much that is not body.

        What wraps a body may be as large as the body itself, and a head beside. A chunk's size and its line ends may
        come in packets of their own, before the chunk counts. The packet that a body begins in holds a head too, and is
        passed over: no packet is larger than 256 kB.
        """
        body_bytes, chunks = self._packet_body_bytes, self._chunks
        self._packet_body_bytes = self._chunks = 0
        is_first, self._has_begun_now = self._has_begun_now, False
        if is_first or not self.is_open:
            self.is_bare = False
            return
        self.is_bare = not body_bytes
        accounted_bytes = 2 * body_bytes + CHUNK_FRAMING_BYTES * chunks
        self._around_bytes = max(self._around_bytes + size_bytes - accounted_bytes, 0)
        check_size(self._around_bytes)


def check_size(size_bytes: int) -> None:
    """Refuse more than a head may hold; raises HeadTooLarge."""
    if size_bytes > MAX_HEAD_BYTES:
        raise HeadTooLarge(f"more than {MAX_HEAD_BYTES} bytes stand around and behind the body")
