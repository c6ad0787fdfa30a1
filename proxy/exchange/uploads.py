"""A large body on its way up: passed along as it arrives, and given up when the upstream takes nothing of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from proxy.errors.upstream import UpstreamTimeout

LOOKS = 4  # how often within the time allowed

T = TypeVar("T")


class Upload:
    """The pieces of a body, with a note of since when the upstream has been taking one."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._offered_at: float | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield them as they arrive."""
        now = asyncio.get_running_loop().time
        async for piece in self._pieces:
            self._offered_at = now()
            yield piece
            self._offered_at = None

    def is_stuck(self, limit_s: float) -> bool:
        """Tell whether the upstream has been taking the same piece for longer than that."""
        now = asyncio.get_running_loop().time()
        return self._offered_at is not None and now - self._offered_at > limit_s

    async def watched(self, asking: Awaitable[T], limit_s: float) -> T:
        """Return what asking with this upload gives; raises UpstreamTimeout where the upstream takes nothing of it.

        No read of ours would end such a wait: there is nothing to read, neither from the upstream nor, with every
        buffer full, from a client that has long left.
        """
        task = asyncio.ensure_future(asking)
        try:
            while not (await asyncio.wait([task], timeout=limit_s / LOOKS))[0]:
                if self.is_stuck(limit_s):
                    raise UpstreamTimeout("it takes nothing of the upload")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.exception()  # looked at, or asyncio would log that nobody did
