"""The bridge between Flask and the event loop: Flask decides, the loop performs. An ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.request import BodyTooLarge, MalformedRequest, RequestRefused, RequestTooSlow
from proxy.errors.retry_header import without_retry
from proxy.errors.upstream import ProxyStopped
from proxy.http.headers import encoded
from proxy.server.decisions import Decision, Decisions, Headers, WsgiApp
from proxy.server.environ import Scope
from proxy.server.response_writer import ResponseWriter

RawHeaders = list[tuple[bytes, bytes]]
RawConnection = tuple[asyncio.Transport, bytes]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
NoteRefusal = Callable[[str, str, ProxyError], object]  # method and path as far as they have come, and the error

FORM_LIMIT_BYTES = 65_536
CONNECTION = "proxy.connection"  # scope key under which the protocol offers its connection

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What the HTTP protocol offers beside ASGI."""

    is_stalled: bool  # no more of the body comes

    @property
    def is_gone(self) -> bool:
        """Tell whether the client has left."""

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait for the client to read."""

    def end_with_the_answer(self, scope: Scope) -> None:
        """Take no request after this one."""

    def listen(self) -> None:
        """Go on reading once the request's body is there."""

    def response_writer(self, scope: Scope) -> ResponseWriter:
        """Return the way to the client for the answer to a request."""

    def arrived(self, scope: Scope) -> bytes | None:
        """Return the body of a request, once, where all of it is there; else None."""

    def switch(self, headers: RawHeaders) -> RawConnection:
        """Answer 101 and give the connection away, with what has already arrived on it."""


class Bridge:
    """Run the Flask app for each request; where its answer carries an exchange, perform that.

    The app runs on the loop, for its views do not wait; the views of paths that begin with one of
    `in_worker` do: they are given the body and run in a worker thread.
    """

    def __init__(
        self, app: WsgiApp, in_worker: Sequence[str] = (), note_refusal: NoteRefusal = lambda *_: None
    ) -> None:
        self._app = app
        self._decisions = Decisions(app)
        self._in_worker = tuple(in_worker)
        self._note_refusal = note_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  it is answered past it
        """Serve one request; the client's leaving cancels it."""
        connection: Connection = scope[CONNECTION]
        client = DownstreamClient(connection, connection.response_writer(scope))
        try:
            body = DownstreamBody(scope, receive, connection)
            decision = await self._decide(scope, body)
            client.added_headers = decision.headers
            if decision.exchange is None:
                await client.whole(decision.status, [], decision.body)
            else:
                await decision.exchange.perform(body, client)
        except RequestRefused as error:  # its body cannot be read; an exchange answers for what it finds itself
            self._note_refusal(scope["method"], scope["path"], error)
            await client.refuse(error)
        except asyncio.CancelledError:  # the client is gone, or its grace at the program's end is over
            await client.stop()
        except Exception:
            log.exception("a request failed")
            await client.fail()

    async def _decide(self, scope: Scope, body: "DownstreamBody") -> Decision:
        if not scope["path"].lstrip("/").startswith(self._in_worker):
            return self._decisions.about(scope)
        form = await body.read(FORM_LIMIT_BYTES)
        return await asyncio.to_thread(Decision().decide, self._app, scope, form)


class DownstreamClient:
    """The way back to the client."""

    def __init__(self, connection: Connection, outgoing: ResponseWriter) -> None:
        self._connection = connection
        self._writer = outgoing
        self.added_headers: Headers = []  # those the app's hooks add to every answer of this request
        self._may_retry = True

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait."""
        return self._connection.is_behind

    @property
    def is_gone(self) -> bool:
        """Tell whether it has left."""
        return self._connection.is_gone

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer, in one piece."""
        self._writer.whole(status, self._headers_for(status, headers), body)
        await self._writer.drain()

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come, with those the app's hooks added."""
        self._writer.start(status, self._headers_for(status, headers))

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""
        self._may_retry = False

    def _headers_for(self, status: int, headers: Headers) -> Headers:
        return (headers if self._may_retry else without_retry(status, headers)) + self.added_headers

    def switch(self, headers: Headers) -> RawConnection:
        """Answer a WebSocket's handshake with 101, and give the connection away."""
        return self._connection.switch(encoded(headers))

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the connection has room for more."""
        self._writer.write(data)
        await self._writer.drain()

    async def finish(self) -> None:
        """End the answer, complete."""
        self._writer.finish()

    def abort(self) -> None:
        """Cut the connection, so that nobody takes the answer for complete."""
        self._writer.abort()

    async def stop(self) -> None:
        """Cut an answer under way; who still waits for the first byte of one is told."""
        if not self._writer.has_begun and not self.is_gone:
            await self.refuse(ProxyStopped())
        elif not self._writer.has_ended:
            self.abort()

    async def fail(self) -> None:
        """Answer for a bug of ours, or cut an answer that has begun."""
        if self._writer.has_begun:
            self.abort()
        else:
            await self.refuse(ServerFault())

    async def refuse(self, error: ProxyError) -> None:
        """Send an error of ours."""
        body = error.body()
        await self.whole(error.status, [*error.headers(), ("content-length", str(len(body)))], body)


class DownstreamBody:
    """The request's body as it arrives."""

    def __init__(self, scope: Scope, receive: Receive, connection: Connection) -> None:
        self._scope = scope
        self._receive = receive
        self._connection = connection
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        chunked = headers.get(b"transfer-encoding")
        if chunked is not None and chunked.strip().lower() != b"chunked":
            connection.end_with_the_answer(scope)
            raise MalformedRequest("its transfer encoding is not chunked alone")
        self.length: int | None = int(length) if length is not None else (None if chunked is not None else 0)

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""
        if self.length == 0:
            return b""
        if (arrived := self._connection.arrived(self._scope)) is not None:
            if len(arrived) > limit_bytes:
                raise BodyTooLarge(f"{len(arrived)} bytes")
            return arrived
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
