"""Perform an exchange under a plain WSGI server: one event loop in a thread of its own for the whole process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from proxy.errors.request import BodyTooLarge, MalformedRequest
from proxy.errors.retry_header import without_retry
from proxy.web.on_loop import Performed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Headers = list[tuple[str, str]]
T = TypeVar("T")


class BrokenOff(Exception):
    """Tell the WSGI server to cut the connection: what it has sent is not the whole answer."""


class LoopThread:
    """The loop's thread, started by the first request, so after a server has forked."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop()).result()

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop; its daemon thread ends with the process."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="proxy-exchanges", daemon=True).start()
            return self._loop


LOOP = LoopThread()


def perform(
    exchange: Performed, extra: Headers, environ: dict[str, Any], start_response: "StartResponse"
) -> Iterable[bytes]:
    """Run the exchange on the loop's thread and return its body, once its status is known."""
    client = WsgiClient()
    task = asyncio.run_coroutine_threadsafe(client.serve(exchange, WsgiBody(environ)), LOOP.loop())
    status, headers = LOOP.run(client.head())
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    start_response(f"{status} {phrase}", [*headers, *extra])
    return WsgiAnswer(client, task.cancel)


class WsgiClient:
    """Hand the answer to the WSGI thread, one piece at a time, at the pace of the slower side. Lives on the loop."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        self._finished = False
        self._may_retry = True

    async def serve(self, exchange: Performed, body: "WsgiBody") -> None:
        """Perform the exchange; however it ends, the WSGI thread is told, unless it has gone and cancelled this."""
        try:
            await exchange.perform(body, self)
        except Exception:
            await self._pieces.put(BrokenOff())
            raise
        await self._pieces.put(b"" if self._finished else BrokenOff())

    async def head(self) -> tuple[int, Headers]:
        """Return status and headers once they are known."""
        head: tuple[int, Headers] = await self._pieces.get()
        return head

    async def next_piece(self) -> bytes:
        """Return the next piece of the body, b"" at its end; raises BrokenOff."""
        piece = await self._pieces.get()
        if isinstance(piece, BrokenOff):
            raise piece
        return bytes(piece)

    @property
    def is_gone(self) -> bool:
        """Return whether the client has disconnected; nothing else cancels the exchange here."""
        return True

    @property
    def is_behind(self) -> bool:
        """Return whether the next write would wait."""
        return self._pieces.full()

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""
        await self.start(status, headers)
        await self.write(body)
        await self.finish()

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers; the body follows."""
        await self._pieces.put((status, headers if self._may_retry else without_retry(status, headers)))

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""
        self._may_retry = False

    async def write(self, data: bytes) -> None:
        """Send some of the body."""
        if data:
            await self._pieces.put(data)

    async def finish(self) -> None:
        """End the answer, complete."""
        self._finished = True

    def abort(self) -> None:
        """Break off the answer; without `finish` the server cuts it."""


class WsgiAnswer:
    """The body of the answer. Closing it early, as servers do when the client is gone, cancels the exchange."""

    def __init__(self, client: WsgiClient, cancel: Any) -> None:
        self._client = client
        self._cancel = cancel

    def __iter__(self) -> Iterator[bytes]:
        while piece := LOOP.run(self._client.next_piece()):
            yield piece

    def close(self) -> None:
        """Stop the exchange where it is still running."""
        self._cancel()


class WsgiBody:
    """The request's body. A worker thread reads it: the server's input blocks."""

    whole: bytes | None = None

    def __init__(self, environ: dict[str, Any]) -> None:
        length = environ.get("CONTENT_LENGTH") or ""
        chunked = bool(environ.get("wsgi.input_terminated")) and "HTTP_TRANSFER_ENCODING" in environ
        if length and not length.isdigit():
            raise MalformedRequest("Content-Length is no number")
        self.length: int | None = int(length) if length else (None if chunked else 0)
        self._input: BinaryIO = environ["wsgi.input"]

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""
        if (self.length or 0) > limit_bytes:
            raise BodyTooLarge(f"{self.length} bytes")
        wanted = limit_bytes + 1 if self.length is None else self.length
        data = await asyncio.to_thread(self._input.read, wanted)
        if len(data) > limit_bytes:
            raise BodyTooLarge
        if self.length is not None and len(data) < self.length:
            raise MalformedRequest("the body broke off")
        return data

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it in one piece; raises as `read`."""
        yield await self.read(limit_bytes)
