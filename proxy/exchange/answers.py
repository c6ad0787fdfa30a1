"""What the client is given that is not whole: passed on as it arrives, or checked event by event."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from proxy.errors.upstream import UpstreamFailure
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.stream.checker import StreamChecker

LINGER_S = 0.1  # so long an upstream may take to end its answer after the last event, to keep its connection
FOLLOWING_S = 0.5  # so long for each piece that follows a last event after which more may come
STEP_BYTES = 16_384  # checked at one go: thousands of tiny events, while others wait for their turn
SNIFFED_BYTES = 65_536  # so much white space may stand before what tells an answer's kind
PADDING = re.compile(rb"\xef?\xbb?\xbf?[ \t\r\n]*")  # a byte order mark, and padding that keeps a connection alive
FIELD = re.compile(rb"(?:data|event|id|retry)[:\r\n]|:")  # how an event begins, or a comment
JSON_BEGINS = (b"{", b"[")
PAGE_BEGINS = b"<"
LONGEST_FIELD = len(b"retry:")


class Beginning(NamedTuple):
    """What has been read of an answer, to see what it is, and the failure met meanwhile."""

    arrived: bytes = b""
    failure: UpstreamFailure | None = None

    @property
    def is_json(self) -> bool:
        """Tell whether it begins as JSON."""
        return without_padding(self.arrived)[:1] in JSON_BEGINS

    @property
    def is_page(self) -> bool:
        """Tell whether it begins as a page for people."""
        return without_padding(self.arrived)[:1] == PAGE_BEGINS

    @property
    def is_stream(self) -> bool:
        """Tell whether it begins as a stream of events."""
        return FIELD.match(without_padding(self.arrived)) is not None


NOTHING_YET = Beginning()


async def beginning_of(upstream: Answer, arrived: bytes = b"") -> Beginning:
    """Read as much as tells what an answer is; `arrived` has been read of it."""
    try:
        while not is_telling(arrived) and (chunk := await upstream.next_chunk()):
            arrived += chunk
    except UpstreamFailure as failure:
        return Beginning(arrived, failure)
    return Beginning(arrived)


def is_telling(arrived: bytes) -> bool:
    """Tell whether enough has come to see what an answer is."""
    begins = without_padding(arrived)[:LONGEST_FIELD]
    is_known = begins[:1] in (*JSON_BEGINS, PAGE_BEGINS) or FIELD.match(begins) is not None
    return is_known or len(begins) == LONGEST_FIELD or len(arrived) > SNIFFED_BYTES


def without_padding(arrived: bytes) -> bytes:
    """Return a body's beginning without what tells nothing."""
    return arrived[PADDING.match(arrived).end() :]  # type: ignore[union-attr]  # it matches everywhere


class PassedAnswer(Answer):
    """An answer that is passed on as it arrives; what has been read of it comes first, with its failure."""

    def __init__(self, upstream: Answer, headers: Headers, beginning: Beginning = NOTHING_YET) -> None:
        self._upstream = upstream
        self._arrived, self._failure_met = beginning
        self.status = upstream.status
        self.headers = headers

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what broke the answer off, where it is one that is checked."""
        return self._upstream.failure

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted, where the answer is one that is checked."""
        return self._upstream.usage

    @property
    def at_border(self) -> bool:
        """Tell whether a comment may follow."""
        return not self._arrived and self._upstream.at_border

    def broken_off(self, failure: UpstreamFailure) -> bytes:
        """Return what was read and an error event, b"" where there is none; raises UpstreamFailure within an event."""
        arrived, self._arrived = self._arrived, b""
        words = self._upstream.broken_off(failure)
        return arrived + words if words else b""

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""
        if self._arrived:
            arrived, self._arrived = self._arrived, b""
            return arrived
        if self._failure_met is not None:
            raise self._failure_met
        return await self._upstream.next_chunk()

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()


class CheckedAnswer(Answer):
    """A stream that is passed on event by event, and whose end is checked."""

    def __init__(
        self, upstream: Answer, headers: Headers, checker: StreamChecker, beginning: Beginning = NOTHING_YET
    ) -> None:
        self._upstream = upstream
        self._arrived, self._failure_met = beginning
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
        """Hold the first events back, and tell whether they are those of an answer, not of a refusal.

        Closed where that is cancelled: nobody has been given the answer yet who would close it.
        """
        if not self._held:
            try:
                self._held = await self.next_chunk()
            except BaseException:
                self.close()
                raise
        is_refused = self.failure is not None or self._checker.is_settled
        return bool(self._held) and (self._checker.has_begun or not is_refused)

    async def next_chunk(self) -> bytes:
        """Return the next whole events, b"" at the end; raises UpstreamFailure where half of one has been shown."""
        if self._held:
            held, self._held = self._held, b""
            return held
        checker = self._checker
        while not checker.is_over:
            try:
                if self._arrived:
                    await asyncio.sleep(0)
                    chunk = self._arrived
                elif self._failure_met is not None:
                    return checker.end(self._failure_met)
                elif checker.is_complete:
                    chunk = await self._what_follows()
                else:
                    chunk = await self._upstream.next_chunk()
            except UpstreamFailure as failure:
                return checker.end(failure)
            chunk, self._arrived = chunk[:STEP_BYTES], chunk[STEP_BYTES:]
            given = checker.feed(chunk) if chunk else checker.end()
            if given:
                return given
        await self._let_go()
        return b""

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()

    async def _what_follows(self) -> bytes:
        """Return the upstream's next bytes after its last event, which are not waited for long."""
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
