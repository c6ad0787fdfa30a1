"""The bridge between Flask and the event loop: Flask decides, the loop performs. An ASGI application."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from proxy.errors import BodyTooLarge, MalformedRequest, ProxyError, RequestRefused, ServerFault
from proxy.server.environ import Scope, environ_for
from proxy.server.refusals import RequestTooSlow

Headers = list[tuple[str, str]]
RawHeaders = list[tuple[bytes, bytes]]
Line = tuple[asyncio.Transport, bytes]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HAND_OVER = "proxy.hand_over"  # environ key under which a response finds the function that takes its exchange
FORM_LIMIT_BYTES = 65_536
CONNECTION = "proxy.connection"  # scope key under which the protocol offers its connection

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What the HTTP protocol offers beside ASGI."""

    is_stalled: bool  # no more of the body comes

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait for the client to read."""

    def serves(self, task: "asyncio.Task[Any]") -> None:
        """Cancel this task when the client leaves, until it is done."""

    def abort(self) -> None:
        """Cut the connection at once."""

    def listen(self) -> None:
        """Go on reading once the request's body is there."""

    def end_by_closing(self) -> None:
        """Send the answer without chunks."""

    def announce(self, size_bytes: int) -> None:
        """Say how much the next write of such an answer will hold."""

    def together(self) -> AbstractContextManager[None]:
        """Send what is written inside in one piece."""

    def switch(self, headers: RawHeaders) -> Line:
        """Answer 101 and give the connection away, with what has already arrived on it."""


class Exchange(Protocol):
    """What a response may carry in place of a body."""

    async def perform(self, body: "AsgiBody", client: "AsgiClient") -> None:
        """Serve the client on the event loop."""


class Bridge:
    """Run the Flask app for each request; where its answer carries an exchange, perform that.

    The app runs on the loop, for its views do not wait; `in_worker` names the paths whose views do: they are given the
    body and run in a worker thread.
    """

    def __init__(self, app: WsgiApp, in_worker: Callable[[str], bool] = lambda _: False) -> None:
        self._app = app
        self._in_worker = in_worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the client's leaving cancels it."""
        connection: Connection = scope[CONNECTION]
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  the server runs each request in a task
        connection.serves(task)
        decision = Decision()
        client = AsgiClient(send, connection, decision, chunks=scope["http_version"] != "1.0")
        try:
            if self._in_worker(scope["path"]):
                form = await AsgiBody(scope, receive, connection).read(FORM_LIMIT_BYTES)
                body = await asyncio.to_thread(decision.ask, self._app, scope, form)
            else:
                body = decision.ask(self._app, scope)
            if decision.exchange is None:
                await client.whole(decision.status, [], body)
            else:
                await decision.exchange.perform(AsgiBody(scope, receive, connection), client)
        except RequestRefused as error:
            await client.refuse(error)
        except asyncio.CancelledError:
            connection.abort()  # the client is gone, or its grace at the program's end is over
        except Exception:
            log.exception("a request failed")
            await client.fail()


class Decision:
    """What Flask decided."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.status = 0
        self.headers: Headers = []

    def ask(self, app: WsgiApp, scope: Scope, form: bytes = b"") -> bytes:
        """Run the app and return the body of a plain answer."""
        environ = environ_for(scope)
        environ["wsgi.input"] = io.BytesIO(form)
        environ[HAND_OVER] = self._take_over
        answer = app(environ, self._start)
        try:
            return b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()

    def _start(self, status: str, headers: Headers, exc_info: object = None) -> None:  # noqa: ARG002  WSGI's signature
        self.status, self.headers = int(status[:3]), headers

    def _take_over(self, exchange: Exchange, headers: Headers) -> None:
        self.exchange, self.headers = exchange, headers


class AsgiClient:
    """The way back to the client."""

    def __init__(self, send: Send, connection: Connection, decision: Decision, *, chunks: bool) -> None:
        self._send = send
        self._connection = connection
        self._decision = decision
        self._started = False
        self._chunks = chunks  # HTTP/1.0 has none: there the end of the connection is the end of the answer

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait."""
        return self._connection.is_behind

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer, in one piece."""
        with self._connection.together():
            await self.start(status, headers)
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come, with those the app's hooks added."""
        self._started = True
        headers = headers + self._decision.headers
        if not self._chunks and not any(name.lower() == "content-length" for name, _ in headers):
            self._connection.end_by_closing()
        await self._send({"type": "http.response.start", "status": status, "headers": raw(headers)})

    def switch(self, headers: Headers) -> Line:
        """Answer a WebSocket's handshake with 101, and give the connection away."""
        self._started = True
        return self._connection.switch(raw(headers))

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the connection has room for more."""
        if not self._chunks:
            self._connection.announce(len(data))
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self) -> None:
        """End the answer, complete."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def abort(self) -> None:
        """Cut the connection, so that nobody takes the answer for complete."""
        self._connection.abort()

    async def fail(self) -> None:
        """Answer for a bug of ours, or cut an answer that has begun."""
        if self._started:
            self.abort()
        else:
            await self.refuse(ServerFault())

    async def refuse(self, error: ProxyError) -> None:
        """Send an error of ours."""
        body = error.body()
        await self.whole(error.status, [*error.headers(), ("content-length", str(len(body)))], body)


def raw(headers: Headers) -> RawHeaders:
    """Return headers as they stand on the wire."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


class AsgiBody:
    """The request's body as it arrives."""

    def __init__(self, scope: Scope, receive: Receive, connection: Connection) -> None:
        self._receive = receive
        self._connection = connection
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        chunked = b"transfer-encoding" in headers
        self.length: int | None = int(length) if length is not None else (None if chunked else 0)

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""
        if self.length == 0:
            return b""
        pieces = [piece async for piece in self.pieces(limit_bytes)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""
        if self.length is not None and self.length > limit_bytes:
            raise BodyTooLarge(f"{self.length} bytes")
        arrived, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise MalformedRequest("the body broke off")
            if self._connection.is_stalled:
                raise RequestTooSlow
            arrived += len(message["body"])
            if arrived > limit_bytes:
                raise BodyTooLarge
            more = message["more_body"]
            if not more:
                self._connection.listen()
            if message["body"]:
                yield message["body"]
