"""A body that is still arriving, whose beginning may be read and held before it is sent. Lives on the event loop."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from proxy.errors.request import NoRoomForUpload
from proxy.flow.flow import Flow

IN_MEMORY_BYTES = 33_554_432  # of what is held; what is beyond lies in a file without a name
PIECE_BYTES = 262_144


class ArrivingBody(AsyncIterable[bytes]):
    """The pieces of a body, and what of them was read ahead; with a note of since when the upstream takes one.

    It can be sent again until more goes up than is held.
    """

    def __init__(self, pieces: AsyncIterator[bytes], flow: Flow) -> None:
        self._arriving = pieces
        self._flow = flow
        self._held = SpooledTemporaryFile[bytes](max_size=IN_MEMORY_BYTES)
        self.held_bytes = 0
        self.is_whole = False  # all of it is held
        self.model_at: tuple[int, int] | None = None  # where the model stands that it names, in what is held
        self.has_passed = False  # more than is held has been taken
        self._offered_at: float | None = None
        self._senders = 0
        self._is_done = False

    async def read_on(self) -> bytes:
        """Read and hold the next piece, b"" at the end; raises what the body raises, and NoRoomForUpload."""
        piece = await anext(self._arriving, b"")
        self.is_whole = not piece
        self._flow.bytes_up += len(piece)
        self.held_bytes += len(piece)
        try:
            if self.held_bytes > IN_MEMORY_BYTES:
                await asyncio.to_thread(self._write, piece)
            else:
                self._write(piece)
        except OSError as error:
            raise NoRoomForUpload(str(error)) from error
        return piece

    def _write(self, piece: bytes) -> None:
        self._held.seek(0, 2)
        self._held.write(piece)

    async def _read(self, start: int, end: int) -> bytes:
        if self.held_bytes > IN_MEMORY_BYTES:
            return await asyncio.to_thread(self.held, start, end)
        return self.held(start, end)

    def held(self, start: int, end: int) -> bytes:
        """Return a part of what is held; it may block where that is more than stays in memory."""
        self._held.seek(start)
        return self._held.read(end - start)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.pieces((0, 0), b"")

    async def pieces(self, place: tuple[int, int], value: bytes) -> AsyncIterator[bytes]:
        """Yield it, with another value in a place of what is held, and what is not held as it arrives."""
        now = asyncio.get_running_loop().time
        self._senders += 1
        try:
            async for piece in self._changed(place, value):
                self._offered_at = now()
                yield piece
                self._offered_at = None
            while not self.is_whole:
                if not self.has_passed:
                    self.has_passed = True
                    self._held.close()
                piece = await anext(self._arriving, b"")
                self.is_whole = not piece
                self._flow.bytes_up += len(piece)
                if piece:
                    self._offered_at = now()
                    yield piece
                    self._offered_at = None
        finally:
            self._offered_at = None
            self._senders -= 1
            if self._is_done:
                self.close()

    async def _changed(self, place: tuple[int, int], value: bytes) -> AsyncIterator[bytes]:
        start, end = place
        async for piece in self._between(0, start):
            yield piece
        if value:
            yield value
        async for piece in self._between(end, self.held_bytes):
            yield piece

    async def _between(self, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, PIECE_BYTES):
            yield await self._read(at, min(at + PIECE_BYTES, end))

    def is_stuck(self, limit_s: float) -> bool:
        """Tell whether the upstream has been taking the same piece for longer than that."""
        now = asyncio.get_running_loop().time()
        return self._offered_at is not None and now - self._offered_at > limit_s

    def close(self) -> None:
        """Let go of what is held, once nobody sends it any more."""
        self._is_done = True
        if self._senders == 0:
            self._held.close()


@dataclass(frozen=True)
class ChangedBody(AsyncIterable[bytes]):
    """An arriving body with another model in the place of the one it names."""

    arriving: ArrivingBody
    model: bytes

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.arriving.pieces(self.arriving.model_at or (0, 0), self.model)

    @property
    def has_passed(self) -> bool:
        """Tell whether it can be sent no more."""
        return self.arriving.has_passed


def has_passed(body: AsyncIterable[bytes]) -> bool:
    """Tell whether a body cannot be sent again: more of it was taken than is held."""
    return not isinstance(body, (ArrivingBody, ChangedBody)) or body.has_passed
