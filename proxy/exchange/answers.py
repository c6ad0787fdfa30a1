"""What the client is given that is not whole: passed on as it arrives, or checked event by event."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.stream.checker import StreamChecker

LINGER_S = 0.1  # so long an upstream may take to end its answer after the last event, to keep its connection


class PassedAnswer(Answer):
    """An answer that is passed on as it arrives."""

    def __init__(self, upstream: Answer, headers: Headers, arrived: bytes = b"") -> None:
        self._upstream = upstream
        self._arrived = arrived
        self.status = upstream.status
        self.headers = headers

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""
        if self._arrived:
            arrived, self._arrived = self._arrived, b""
            return arrived
        return await self._upstream.next_chunk()

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()


class CheckedAnswer(Answer):
    """A stream that is passed on event by event, and whose end is checked."""

    def __init__(self, upstream: Answer, headers: Headers, checker: StreamChecker) -> None:
        self._upstream = upstream
        self._checker = checker
        self.status = upstream.status
        self.headers = headers

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what broke the stream off."""
        return self._checker.failure

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted."""
        return self._checker.usage

    @property
    def at_border(self) -> bool:
        """Tell whether a comment may follow."""
        return self._checker.at_border

    def broken_off(self, failure: UpstreamFailure) -> bytes:
        """Return an error event; raises UpstreamFailure where half of an event has been shown."""
        return self._checker.end(failure)

    async def next_chunk(self) -> bytes:
        """Return the next whole events, b"" at the end; raises UpstreamFailure where half of one has been shown."""
        while not self._checker.is_over:
            try:
                chunk = await self._upstream.next_chunk()
            except UpstreamFailure as failure:
                return self._checker.end(failure)
            given = self._checker.feed(chunk) if chunk else self._checker.end()
            if given:
                return given
        await self._let_go()
        return b""

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()

    async def _let_go(self) -> None:
        """Give the upstream a moment to end its answer too: then its connection can be used again."""
        if self._checker.failure is None:
            with suppress(UpstreamFailure, asyncio.TimeoutError):
                await asyncio.wait_for(self._upstream.next_chunk(), LINGER_S)
        self._upstream.close()
