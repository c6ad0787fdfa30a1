"""One client's connection: its requests in their order, a task for the one that is served, and what is refused."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import (
    MalformedRequest,
    NotANetworkProxy,
    RequestRefused,
    RequestTooSlow,
    TooManyConnections,
)
from proxy.http.batching import BatchedTransport, read_less_at_once
from proxy.http.request_head import IncomingHead
from proxy.http.request_reader import RequestReader
from proxy.server.client import DownstreamClient, encode_head
from proxy.server.decisions import Endpoints

MAX_UNREAD_BYTES = 262_144  # a long chat is shorter: to stop reading and begin again costs more than to read on
MAX_WAITING = 8  # requests behind the one that is served; with more no more is read
MAX_TUNNELLED_BYTES = 65_536  # clients wait for the answer to a handshake; one that does not is read no further

log = logging.getLogger(__name__)


class App(Protocol):
    """What serves the requests."""

    def known(self, key: Any) -> Any:
        """Return what is kept for heads with this key, which has the head as `head`; None where nothing is."""

    def serve(self, client: DownstreamClient) -> Coroutine[Any, Any, None] | None:
        """Answer, or return what is to be run to have it answered; being cancelled, that ends the answer itself."""


class Server(Protocol):
    """What the connections of one server share."""

    app: App
    date_line: str  # the header that says when an answer was made

    def enter(self, connection: "ClientConnection") -> bool:
        """Take note of a connection; False where there are too many."""

    def leave(self, connection: "ClientConnection") -> None:
        """Take note that nothing of a connection is left."""

    def note_refusal(self, method: str, path: str, error: ProxyError) -> object:
        """Hear of a request that is refused before the app hears of it."""


class ClientConnection(asyncio.Protocol):
    """Read requests, have each answered in its turn, and cancel what the client no longer waits for."""

    __slots__ = (
        *("_held_refusal", "_is_serving", "_loop", "_queue", "_room", "_tasks", "_tunnelled", "endpoints"),
        *("has_left_http", "is_behind", "is_reading_paused", "last", "reader", "server", "transport"),
    )
    transport: BatchedTransport
    reader: RequestReader
    endpoints: Endpoints

    def __init__(self, server: Server) -> None:
        self.server = server
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []  # the last request's may end while the next one is served
        self._queue: list[DownstreamClient] = []  # requests without an answer; the first one is being served
        self._held_refusal: ProxyError | None = None  # of a request whose turn to be answered has not come
        self._room: asyncio.Event | None = None  # made when the client first falls behind
        self._is_serving = False  # or is about to, in the next turn of the loop
        self._tunnelled = b""
        self.has_left_http = False
        self.last: DownstreamClient | None = None  # the request that came last; its body may still be arriving
        self.is_behind = False
        self.is_reading_paused = False

    @property
    def is_gone(self) -> bool:
        """Tell whether the client has left."""
        return self.transport.is_closing()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        read_less_at_once(transport)
        self.transport = BatchedTransport(transport)  # type: ignore[arg-type]  # the loop's socket transport
        self.endpoints = Endpoints(
            "http", address(transport.get_extra_info("sockname")), address(transport.get_extra_info("peername"))
        )
        self.reader = RequestReader(self, self.server.app.known, self.endpoints.server)
        if not self.server.enter(self):  # no request was read, so none is announced: a flood of these is to cost little
            log.warning("a connection is refused: there are too many")
            self._end_with(TooManyConnections(), is_noted=False)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse what cannot be read and what is too large."""
        if self._held_refusal is not None:  # behind what was refused, nothing is read
            return
        try:
            self.reader.feed(data)
        except RequestRefused as error:
            self.refuse(error)
        if self._queue and not self._is_serving:  # only now: what came in one packet with a head may break its request
            self._serve_next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Cancel what the client no longer waits for."""
        self.resume_writing()
        self.reader.close()
        self._leave_after(self.stop())

    def pause_writing(self) -> None:
        """Have writers wait."""
        self.is_behind = True
        if self._room is None:
            self._room = asyncio.Event()
        self._room.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self.is_behind = False
        if self._room is not None:
            self._room.set()

    # What the reader calls

    def on_known(self, kept: Any, body: bytes) -> None:
        """Take a whole request whose head is known."""
        self._take(DownstreamClient(self, kept.head, body, kept))

    def on_request(self, head: IncomingHead, body: bytes | None) -> None:
        """Take a request, whose body may still be arriving; raises NotANetworkProxy or MalformedRequest."""
        if head.method == "CONNECT":
            raise NotANetworkProxy(self._what_this_is())
        if not head.path.startswith(b"/"):
            why = f". This is not a network proxy: {self._what_this_is()}" if b"://" in head.path else ""
            raise MalformedRequest(f"the request target must begin with a slash{why}")
        self._take(DownstreamClient(self, head, body))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of a body for its reader, who is not to be left far behind."""
        client = self.last
        if client is None or client.has_ended:
            return
        client.waits_for_continue = False
        client.body.add(piece)
        if client.body.held_bytes > MAX_UNREAD_BYTES:
            self._pause_reading()

    def on_end(self) -> None:
        """Take note of a body's end."""
        if self.last is not None:
            self.last.body.end()

    def on_tunnelled(self, data: bytes) -> None:
        """Keep what arrives behind a handshake until it is answered."""
        self._tunnelled += data
        if len(self._tunnelled) > MAX_TUNNELLED_BYTES:
            self.transport.pause_reading()

    # What an answer calls

    async def room(self) -> None:
        """Return when the client has taken enough of what was written."""
        if self._room is not None:
            await self._room.wait()

    def listen(self) -> None:
        """Read on, unless too much waits."""
        if self.is_reading_paused and len(self._queue) <= MAX_WAITING:
            self.is_reading_paused = False
            self.transport.resume_reading()

    def on_answered(self) -> None:
        """Begin the request that waits behind, in a later turn of the loop: a packet may hold a thousand of them."""
        self._queue.pop(0)
        if self.last is not None and self.last.has_ended and self.last.body.is_whole:
            self.last = None  # nothing of it is held while the connection is idle
        if self.is_gone:
            return
        self.listen()
        self._is_serving = bool(self._queue)
        if self._is_serving:
            self._loop.call_soon(self._serve_next)
        elif self._held_refusal is not None:
            self._end_with(self._held_refusal, is_noted=True)

    def leave_http(self) -> bytes:
        """Give the connection away; it counts until its task has ended. Return what has arrived on it already."""
        self.has_left_http = True
        self._leave_after(self._running())
        tunnelled, self._tunnelled = self._tunnelled, b""
        return tunnelled

    # What the server calls

    def shut_down(self) -> None:
        """Take no further request, and close once those that came have their answers."""
        if self._queue:
            self._queue[-1].keeps_alive = False
        elif not self.has_left_http:
            self.transport.close()

    def stop(self) -> list["asyncio.Task[None]"]:
        """Have what still runs end now, and serve no more; return it."""
        del self._queue[1:]
        if self._queue:
            self._queue[0].keeps_alive = False
        running = self._running()
        for task in running:
            task.cancel()
        if not running:  # the next one was about to be served
            self.transport.close()
        return running

    def stall(self) -> None:
        """Tell who reads the body that no more of it comes."""
        if self.last is not None:
            self.last.body.fail(RequestTooSlow())

    def refuse(self, error: ProxyError) -> None:
        """Answer with an error in the API's words and close, once every earlier request has its answer.

        A running answer whose own request turns out to be broken is cut; a request that has its answer gets no second.
        """
        last, is_of_last = self.last, self.reader.is_body_open
        if last is None or last.has_ended:
            self._end_with(None if last is not None and is_of_last else error, is_noted=True)
        elif not is_of_last:
            self._held_refusal = error
        elif last is not self._queue[0]:
            self._queue.pop()
            last.body.end()  # the watch waits for no more of it
            self._held_refusal = error
        elif last.has_begun:
            self.transport.abort()
        else:
            self._end_with(error, is_noted=False)

    def _end_with(self, error: ProxyError | None, *, is_noted: bool) -> None:
        if error is not None:
            method, target = self.reader.target
            if is_noted:  # the app has not heard of it
                self.server.note_refusal(method, target.partition(b"?")[0].decode("latin-1"), error)
            body = error.body()
            headers = [(name, value) for name, value in error.headers() if name != "connection"]
            headers += [("content-length", str(len(body))), ("connection", "close")]
            lines = [f"{name}: {value}\r\n" for name, value in headers]
            self.transport.write(encode_head(error.status, [self.server.date_line, *lines]) + body)
        self.transport.close()

    def _take(self, client: DownstreamClient) -> None:
        if self.is_gone:
            return
        self.last = client
        self._queue.append(client)
        if len(self._queue) > MAX_WAITING:
            self._pause_reading()

    def _serve_next(self) -> None:
        """Have the first request answered, at once or by a task."""
        if self.is_gone:
            return
        self._is_serving = True
        work = self.server.app.serve(self._queue[0])
        if work is not None:
            self._tasks = [*self._running(), self._loop.create_task(work)]

    def _running(self) -> list["asyncio.Task[None]"]:
        return [task for task in self._tasks if not task.done()]

    def _leave_after(self, tasks: list["asyncio.Task[None]"]) -> None:
        for task in tasks:
            task.add_done_callback(self._leave_if_done)
        self._leave_if_done()

    def _leave_if_done(self, _: object = None) -> None:
        if not self._running():
            self.server.leave(self)

    def _pause_reading(self) -> None:
        if not self.is_reading_paused:
            self.is_reading_paused = True
            self.transport.pause_reading()

    def _what_this_is(self) -> str:
        host, port = self.endpoints.server or ("127.0.0.1", 8000)
        name = f"[{host}]" if ":" in host else host
        return f"it is an OpenAI-compatible API at http://{name}:{port}/v1"


def address(given: Any) -> tuple[str, int] | None:
    """Return host and port of a socket's address."""
    return (str(given[0]), int(given[1])) if isinstance(given, tuple) and len(given) >= 2 else None
