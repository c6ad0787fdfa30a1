"""The body of a request, as it arrives from the client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.errors.request import BodyTooLarge, MalformedRequest, RequestRefused


class Source(Protocol):
    """Where a body comes from."""

    @property
    def is_gone(self) -> bool:
        """Tell whether the client has left."""

    def want_more(self) -> None:
        """Read on; who waits to be told that its body is wanted is told."""

    def listen(self) -> None:
        """Read on once the body is there: only a connection that is read shows that the client has left."""


class DownstreamBody:
    """What has arrived and was not read, and the wait for more. One reader at a time."""

    __slots__ = ("_error", "_pieces", "_source", "_waiter", "held_bytes", "is_whole", "length", "whole")

    def __init__(self, source: Source, length: int | None, whole: bytes | None) -> None:
        self.length = length if whole is None or length is None else len(whole)  # bytes; None: only its end tells
        self.whole = whole  # all of it, where it has come together with the head; `read` returns the same
        self.is_whole = whole is not None
        self.held_bytes = len(whole) if whole else 0
        self._pieces = [whole] if whole else []
        # Not of a body that is whole: the two would hold each other, for the collector to find.
        self._source = source if whole is None else None
        self._waiter: asyncio.Future[None] | None = None
        self._error: RequestRefused | None = None

    def add(self, piece: bytes) -> None:
        """Keep a piece for the reader."""
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        self._wake()

    def end(self) -> None:
        """Take note that all of it is there."""
        self.is_whole = True
        self._wake()

    def fail(self, error: RequestRefused) -> None:
        """Tell the reader that no more of it comes."""
        self._error = error
        self._wake()

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge, MalformedRequest or RequestTooSlow."""
        if self.is_whole:
            if self.held_bytes > limit_bytes:
                raise BodyTooLarge(f"{self.held_bytes} bytes")
            return self._take()
        pieces = [piece async for piece in self.pieces(limit_bytes)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""
        if self.length is not None and self.length > limit_bytes:
            raise BodyTooLarge(f"{self.length} bytes")
        arrived = 0
        while True:
            while not self._pieces and not self.is_whole and self._error is None:
                await self._arrival()
            if self._error is not None:
                raise self._error
            piece = self._take()
            arrived += len(piece)
            if arrived > limit_bytes:
                raise BodyTooLarge
            if piece:
                yield piece
            if self.is_whole and not self._pieces:
                return

    def _take(self) -> bytes:
        pieces, self._pieces, self.held_bytes = self._pieces, [], 0
        if self._source is not None and self.is_whole:
            self._source.listen()
            self._source = None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _arrival(self) -> None:
        if self._source is None or self._source.is_gone:
            raise MalformedRequest("the body broke off")
        self._source.want_more()
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
