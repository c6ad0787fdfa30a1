"""A request as it goes out on a connection, and what the connection says where no answer comes."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple

PIECE_BYTES = 262_144  # of a body on its way up: other traffic passes in between


class BrokenOff(Exception):
    """The connection ended before an answer began."""

    def __init__(self, how: str = "", *, is_stale: bool = False) -> None:
        super().__init__(how)
        self.is_stale = is_stale  # it had carried a request before, and no byte came back for this one


class NotHttp(Exception):
    """What came is no answer of HTTP."""


class WireRequest(NamedTuple):
    """A request as it goes out."""

    head: bytes  # whole, but for what tells the length of a body that is not in memory
    body: bytes | AsyncIterable[bytes]
    is_chunked: bool = False  # the body's length is not known
    to_head: bool = False  # its method is HEAD


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield a large body in pieces, so that other traffic passes in between."""
    view = memoryview(body)
    for start in range(0, len(body), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]  # type: ignore[misc]  # as good as bytes
