"""Perform an exchange under a plain WSGI server: one event loop in a thread of its own for the whole process."""

import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.streams.memory import MemoryObjectSendStream

from proxy.errors import BodyTooLarge, MalformedRequest
from proxy.exchange.exchange import Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Headers = list[tuple[str, str]]


class Portal:
    """The loop's thread, started by the first request: a server that forks does so before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None

    def get(self) -> BlockingPortal:
        """Return the portal into the loop's thread."""
        with self._lock:
            if self._portal is None:
                self._portal = start_blocking_portal(name="proxy-exchanges").__enter__()  # lives as long as the process
            return self._portal


PORTAL = Portal()


def perform(
    exchange: Exchange, extra: Headers, environ: dict[str, Any], start_response: "StartResponse"
) -> Iterable[bytes]:
    """Run the exchange on the loop's thread and return its body, once its status is known."""
    portal = PORTAL.get()
    send, receive = anyio.create_memory_object_stream[Any](1)
    body = WsgiBody(environ)
    task = portal.start_task_soon(exchange.perform, body, WsgiClient(send))
    status, headers = portal.call(receive.receive)
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    start_response(f"{status} {phrase}", [*headers, *extra])
    return WsgiAnswer(portal, receive, task)


class WsgiClient:
    """Hand the answer to the WSGI thread, one piece at a time: its pace is the upstream's."""

    def __init__(self, send: MemoryObjectSendStream[Any]) -> None:
        self._send = send

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""
        await self.start(status, headers)
        await self.write(body)
        await self.finish()

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come."""
        await self._send.send((status, headers))

    async def write(self, data: bytes) -> None:
        """Send some of the body."""
        if data:
            await self._send.send(data)

    async def finish(self) -> None:
        """End the answer, complete."""
        await self._send.aclose()

    def abort(self) -> None:
        """Leave the stream open: the task's end without `finish` tells the WSGI thread to break off."""


class WsgiAnswer:
    """The body of the answer. Closing it early, as servers do when the client is gone, cancels the exchange."""

    def __init__(self, portal: BlockingPortal, receive: Any, task: "Future[None]") -> None:
        self._portal = portal
        self._receive = receive
        self._task = task

    def __iter__(self) -> Iterator[bytes]:
        with suppress(anyio.EndOfStream):
            while True:
                yield self._portal.call(self._receive.receive)

    def close(self) -> None:
        """Stop the exchange where it is still running."""
        self._task.cancel()
        with suppress(BaseException):
            self._task.result(timeout=5)


class WsgiBody:
    """The request's body, read from the server in this thread before the loop asks for it."""

    def __init__(self, environ: dict[str, Any]) -> None:
        length = environ.get("CONTENT_LENGTH") or ""
        chunked = bool(environ.get("wsgi.input_terminated")) and "HTTP_TRANSFER_ENCODING" in environ
        if length and not length.isdigit():
            raise MalformedRequest("Content-Length is no number")
        self.length: int | None = int(length) if length else (None if chunked else 0)
        self._input: BinaryIO = environ["wsgi.input"]

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge."""
        if (self.length or 0) > limit_bytes:
            raise BodyTooLarge(f"{self.length} bytes")
        wanted = limit_bytes + 1 if self.length is None else self.length
        data = await anyio.to_thread.run_sync(self._input.read, wanted)
        if len(data) > limit_bytes:
            raise BodyTooLarge
        if self.length is not None and len(data) < self.length:
            raise MalformedRequest("the body broke off")
        return data

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it in one piece."""
        yield await self.read(limit_bytes)
