"""Copy an answer to the client, and an end only where there is one."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from proxy.errors.upstream import CancelledByUser, ProxyStopped, UpstreamFailure
from proxy.flow.flow import Flow
from proxy.flow.observers import Observers
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.stream.keep_alive import KeepAlive


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


async def relay(
    answer: Answer, client: Client, keep_alive: KeepAlive, flow: Flow, observers: Observers
) -> UpstreamFailure | None:
    """Copy an answer to its end; return what broke it off, None when it is complete."""
    try:
        if answer.body is not None:  # whole, and the client has been promised events
            events = keep_alive.events_of(answer.status, answer.body)
            if flow.recorder is not None:
                flow.recorder.chunk(events)
            await client.write(events)
        else:
            await copy(answer, client, keep_alive, flow, observers)
    except UpstreamFailure as failure:
        client.abort()
        return failure
    except asyncio.CancelledError:
        is_told = not client.is_gone and not client.is_behind and await say_stopped(answer, client, flow)
        if flow.is_cancelled and not client.is_gone:
            if not is_told:
                client.abort()
            return CancelledByUser()
        raise
    await client.finish()
    return answer.failure


async def say_stopped(answer: Answer, client: Client, flow: Flow) -> bool:
    """Tell a client in the middle of its answer that nothing more comes, if it can be told; nothing in here waits."""
    with suppress(UpstreamFailure):  # half an event has been shown: the connection is cut instead
        if words := answer.broken_off(CancelledByUser() if flow.is_cancelled else ProxyStopped()):
            await client.write(words)
            await client.finish()
            return True
    return False


async def copy(answer: Answer, client: Client, keep_alive: KeepAlive, flow: Flow, observers: Observers) -> None:
    """Copy the chunks; raises UpstreamFailure."""
    if not keep_alive.has_begun:
        await client.start(answer.status, answer.headers)
    keep_alive.follow(lambda: answer.at_border)
    while chunk := await answer.next_chunk():
        keep_alive.note()
        if not flow.bytes_down:
            flow.first_byte_s = time.monotonic() - flow.began
        flow.bytes_down += len(chunk)
        if flow.recorder is not None:
            flow.recorder.chunk(chunk)
        if observers.hears_chunks:
            observers.chunk(flow, chunk)
        await client.write(chunk)
