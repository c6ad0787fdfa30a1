"""What the client is given that is not whole: passed on as it arrives, or checked event by event."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.stream.checker import StreamChecker

LINGER_S = 0.1  # so long an upstream may take to end its answer after the last event, to keep its connection
FOLLOWING_S = 0.5  # so long for each piece that follows a last event after which more may come
SNIFFED_BYTES = 65_536  # so much white space may stand before what tells an answer's kind
BEGINNING = re.compile(rb"\xef?\xbb?\xbf?[ \t\r\n]*")  # a byte order mark, and padding that keeps a connection alive
FIELD = re.compile(rb"(?:data|event|id|retry)[:\r\n]|:")  # how an event begins, or a comment
JSON_BEGINS = (b"{", b"[")
PAGE_BEGINS = b"<"
LONGEST_FIELD = len(b"retry:")


class BegunAnswer(Answer):
    """An answer of which some has been read, to see what it is; a failure met meanwhile comes where it came."""

    def __init__(self, upstream: Answer, arrived: bytes, failure: UpstreamFailure | None) -> None:
        self._upstream = upstream
        self._arrived = arrived
        self._failure = failure
        self.status = upstream.status
        self.headers = upstream.headers
        self.content_type = upstream.content_type
        self.content_length = upstream.content_length
        self.begins = arrived[BEGINNING.match(arrived).end() :]  # type: ignore[union-attr]  # it matches everywhere

    @classmethod
    async def of(cls, upstream: Answer, arrived: bytes = b"") -> "BegunAnswer":
        """Read as much as tells what an answer is; `arrived` has been read of it."""
        try:
            while not cls._tells(arrived) and (chunk := await upstream.next_chunk()):
                arrived += chunk
        except UpstreamFailure as failure:
            return cls(upstream, arrived, failure)
        return cls(upstream, arrived, None)

    @staticmethod
    def _tells(arrived: bytes) -> bool:
        begins = BEGINNING.match(arrived).end()  # type: ignore[union-attr]  # as above
        rest = arrived[begins : begins + LONGEST_FIELD]
        is_known = rest[:1] in (*JSON_BEGINS, PAGE_BEGINS) or FIELD.match(rest) is not None
        return is_known or len(rest) == LONGEST_FIELD or len(arrived) > SNIFFED_BYTES

    @property
    def is_json(self) -> bool:
        """Tell whether it begins as JSON."""
        return self.begins[:1] in JSON_BEGINS

    @property
    def is_page(self) -> bool:
        """Tell whether it begins as a page for people."""
        return self.begins[:1] == PAGE_BEGINS

    @property
    def is_stream(self) -> bool:
        """Tell whether it begins as a stream of events."""
        return FIELD.match(self.begins) is not None

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""
        if self._arrived:
            arrived, self._arrived = self._arrived, b""
            return arrived
        if self._failure is not None:
            raise self._failure
        return await self._upstream.next_chunk()

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()


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
        self._held = b""
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

    async def begin(self) -> bool:
        """Hold the first events back, and tell whether they are those of an answer, not of a refusal."""
        if not self._held:
            self._held = await self.next_chunk()
        is_refused = self.failure is not None or self._checker.is_settled
        return bool(self._held) and (self._checker.has_begun or not is_refused)

    async def next_chunk(self) -> bytes:
        """Return the next whole events, b"" at the end; raises UpstreamFailure where half of one has been shown."""
        if self._held:
            held, self._held = self._held, b""
            return held
        while not self._checker.is_over:
            try:
                chunk = await self._next_of_upstream()
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

    async def _next_of_upstream(self) -> bytes:
        """Return its next bytes; once its last event has come, nothing is waited for long."""
        if not self._checker.is_complete:
            return await self._upstream.next_chunk()
        try:
            return await asyncio.wait_for(self._upstream.next_chunk(), FOLLOWING_S)
        except asyncio.TimeoutError:
            return b""

    async def _let_go(self) -> None:
        """Give the upstream a moment to end its answer too: then its connection can be used again."""
        if self._checker.failure is None:
            with suppress(UpstreamFailure, asyncio.TimeoutError):
                await asyncio.wait_for(self._upstream.next_chunk(), LINGER_S)
        self._upstream.close()
