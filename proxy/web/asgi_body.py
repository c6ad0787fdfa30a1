"""A request's body under an ASGI server, which also tells when the client has left."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from proxy.errors.request import BodyTooLarge, MalformedRequest
from proxy.http.request_head import IncomingHead

Receive = Callable[[], Awaitable[dict[str, Any]]]

WAITING_BYTES = 65_536  # as much as may wait for the upstream


class AsgiBody:
    """The request's body as it arrives (see `exchange.call.RequestBody`)."""

    whole: bytes | None = None

    def __init__(self, head: IncomingHead) -> None:
        headers = dict(head.headers)
        self._length, self._encoding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
        self.length: int | None = None
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._is_wanted = asyncio.Event()  # a client that asks whether to send its body waits until we want it
        if headers.get(b"expect", b"").lower() != b"100-continue":
            self._is_wanted.set()
        self._is_whole = False

    async def follow(self, receive: Receive) -> None:
        """Receive the client's messages; return when it has disconnected."""
        while True:
            await self._is_wanted.wait()
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # who waits for more of the body is cancelled
            if piece := message.get("body", b""):
                self._pieces.append(piece)
                self._waiting_bytes += len(piece)
            self._is_whole = not message.get("more_body", False)
            self._changed.set()
            if self._waiting_bytes >= WAITING_BYTES and not self._is_whole:
                self._is_wanted.clear()

    async def settle_length(self) -> None:
        """Determine the body's length, if known; raises MalformedRequest for wrong framing headers."""
        if self._encoding is not None:
            if self._encoding.strip().lower() != b"chunked":
                raise MalformedRequest("its transfer encoding is not chunked alone")
        elif self._length is not None:
            if not self._length.isdigit():
                raise MalformedRequest("its Content-Length is no number")
            self.length = int(self._length)
        else:  # in HTTP/2 only what arrives tells
            await self._arrival()
            self.length = None if self._pieces else 0

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge."""
        return b"".join([piece async for piece in self.pieces(limit_bytes)])

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""
        if self.length is not None and self.length > limit_bytes:
            raise BodyTooLarge(f"{self.length} bytes")
        arrived = 0
        while self.length != 0 and (piece := await self._next()):
            arrived += len(piece)
            if arrived > limit_bytes:
                raise BodyTooLarge
            yield piece

    async def _next(self) -> bytes:
        """Return the next piece, b"" at the end."""
        self._is_wanted.set()
        await self._arrival()
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        self._waiting_bytes -= len(piece)
        return piece

    async def _arrival(self) -> None:
        while not self._pieces and not self._is_whole:
            self._changed.clear()
            await self._changed.wait()
