"""Answers that are streams of events: which kinds are known, and one that is watched while it passes."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.exchange.refusals import hide_in_event
from proxy.policy.body import REMOVED, rewrite
from proxy.policy.headers import Headers
from proxy.stream import responses
from proxy.stream.completions import CompletionsDialect
from proxy.stream.pulse import ErrorEvent
from proxy.stream.relay import Answer
from proxy.stream.responses import ResponsesDialect
from proxy.stream.watch import Dialect, Watch
from proxy.upstream.messages import UpstreamAnswer

COMPLETIONS = ("/chat/completions", "/completions")
RESPONSES = "/responses"
LINGER_S = 0.1  # so long an upstream may take to end its answer after the last event, to keep its connection

Hide = Callable[[str], str]


@dataclass(frozen=True)
class StreamWish:
    """What a request for a stream says about it."""

    asked_usage: bool = False  # the client asked for the usage chunk
    hides_usage: bool = False  # the proxy asked for it, and takes it out again


def error_event_for(path: str) -> ErrorEvent | None:
    """Return how an error is told in the streams of an endpoint, None where its streams are not known."""
    if path in COMPLETIONS:
        return CompletionsDialect.error_event
    return responses.error_event if path == RESPONSES else None


def dialect_for(path: str, wish: StreamWish, hide: Hide) -> Dialect | None:
    """Return what follows a stream of an endpoint, None where its streams are not known."""
    hide_bytes = partial(hide_in_event, hide=hide)
    if path in COMPLETIONS:
        without_usage = remove_usage if wish.hides_usage else None
        return CompletionsDialect(asked_usage=wish.asked_usage, without_usage=without_usage, hide=hide_bytes)
    if path == RESPONSES or path.startswith(RESPONSES + "/"):
        return ResponsesDialect(hide=hide_bytes)
    return None


def remove_usage(data: bytes) -> bytes:
    """Take the member `usage` out of an event's JSON."""
    return rewrite(data, {"usage": REMOVED})


class WatchedAnswer(Answer):
    """A stream that is passed on event by event, and whose end is judged."""

    body: bytes | None = None

    def __init__(self, upstream: UpstreamAnswer, headers: Headers, watch: Watch) -> None:
        self._upstream = upstream
        self._watch = watch
        self.status = upstream.status
        self.headers = headers

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what broke the stream off."""
        return self._watch.failure

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted."""
        return self._watch.usage

    @property
    def at_border(self) -> bool:
        """Tell whether a comment may follow."""
        return self._watch.at_border

    def broken_off(self, failure: UpstreamFailure) -> bytes:
        """Return an error event; raises UpstreamFailure where half of an event has been shown."""
        return self._watch.end(failure)

    async def next_chunk(self) -> bytes:
        """Return the next whole events, b"" at the end; raises UpstreamFailure where half of one has been shown."""
        while not self._watch.is_over:
            try:
                chunk = await self._upstream.next_chunk()
            except UpstreamFailure as failure:
                return self._watch.end(failure)
            given = self._watch.feed(chunk) if chunk else self._watch.end()
            if given:
                return given
        await self._let_go()
        return b""

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()

    async def _let_go(self) -> None:
        """Give the upstream a moment to end its answer too: then its connection can be used again."""
        if self._watch.failure is None:
            with suppress(UpstreamFailure, asyncio.TimeoutError):
                await asyncio.wait_for(self._upstream.next_chunk(), LINGER_S)
        self._upstream.close()
