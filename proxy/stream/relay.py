"""Copy an answer to the client, and an end only where there is one."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from proxy.errors.upstream import ProxyStopped, UpstreamFailure
from proxy.stream.pulse import Pulse

Headers = list[tuple[str, str]]


class Answer(Protocol):
    """What goes to the client: whole, or chunk by chunk. Who implements it inherits what is said of it by default."""

    status: int
    headers: Headers
    body: bytes | None  # None: take the chunks

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what went wrong although the client was told in the answer's own words; for the log."""
        return None

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream said it counted, as far as it was seen to pass."""
        return None

    @property
    def at_border(self) -> bool:
        """Tell whether what was given out so far ends between two events, so that a comment may follow."""
        return False

    def broken_off(self, failure: UpstreamFailure) -> bytes:  # noqa: ARG002  for those that can
        """Return what tells the client that nothing more comes, b"" where the format has no words for it."""
        return b""

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""

    def close(self) -> None:
        """Let go of the upstream; a second call does nothing."""


class Client(Protocol):
    """The way back to the caller. Its leaving cancels the task that serves it."""

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait."""

    @property
    def is_gone(self) -> bool:
        """Tell whether it has left."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come."""

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the client has room for more."""

    async def finish(self) -> None:
        """End the answer, complete."""

    def abort(self) -> None:
        """Cut the connection, so that nobody takes the answer for complete."""


async def relay(answer: Answer, client: Client, pulse: Pulse) -> UpstreamFailure | None:
    """Copy the whole answer; returns what broke it off, None when it is complete."""
    if answer.body is not None and not pulse.has_begun:
        pulse.stop()
        await client.whole(answer.status, answer.headers, answer.body)
        return answer.failure
    try:
        if answer.body is not None:
            await client.write(pulse.events_of(answer.status, answer.body))
        else:
            await copy(answer, client, pulse)
    except UpstreamFailure as failure:
        client.abort()
        return failure
    except asyncio.CancelledError:
        if not client.is_gone and not client.is_behind:
            await tell_stop(answer, client)
        raise
    await client.finish()
    return answer.failure


async def tell_stop(answer: Answer, client: Client) -> None:
    """Tell a client in the middle of its answer that the program stops; nothing in here waits."""
    with suppress(UpstreamFailure):  # half an event has been shown: the connection is cut instead
        if words := answer.broken_off(ProxyStopped()):
            await client.write(words)
            await client.finish()


async def copy(answer: Answer, client: Client, pulse: Pulse) -> None:
    """Copy the chunks; raises UpstreamFailure."""
    if not pulse.has_begun:
        await client.start(answer.status, answer.headers)
    pulse.follow(lambda: answer.at_border)
    while chunk := await answer.next_chunk():
        pulse.note()
        await client.write(chunk)
