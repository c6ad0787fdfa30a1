"""The way back to the client for the answer to one request: heads and chunks as they stand on the wire."""

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Protocol

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.retry_header import without_retry
from proxy.errors.upstream import ProxyStopped
from proxy.http.batching import BatchedTransport
from proxy.http.request_head import IncomingHead
from proxy.server.body import DownstreamBody
from proxy.server.decisions import Endpoints

Headers = list[tuple[str, str]]
RawConnection = tuple[asyncio.Transport, bytes]  # one that is free, and what has already arrived on it

PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {status: f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n" for status in range(100, 600)}
WITHOUT_BODY = (204, 304)
RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # closing does not linger: it resets
SWITCHED = ["connection: Upgrade\r\n", "upgrade: websocket\r\n"]


class Dated(Protocol):
    """The server."""

    date_line: str  # the header that says when an answer was made


class Connection(Protocol):
    """The connection a request came on."""

    transport: BatchedTransport
    endpoints: Endpoints
    is_behind: bool  # the next write would have to wait for the client to read

    @property
    def server(self) -> Dated:
        """Return the server."""

    @property
    def is_gone(self) -> bool:
        """Tell whether the client has left."""

    async def room(self) -> None:
        """Return when the client has taken enough of what was written."""

    def listen(self) -> None:
        """Read on."""

    def on_answered(self) -> None:
        """Take note that the running request has its answer."""

    def leave_http(self) -> bytes:
        """Give the connection away; return what has arrived on it already."""


class DownstreamClient:
    """A request that came, and the way back. Nothing here waits but `whole`, `write` and the body."""

    __slots__ = (
        "_connection",
        "_is_chunked",
        "_left_bytes",
        "_may_retry",
        "added_headers",
        "body",
        "has_begun",
        "has_ended",
        "head",
        "keeps_alive",
        "kept",
        "waits_for_continue",
    )

    def __init__(self, connection: Connection, head: IncomingHead, body: bytes | None, kept: Any = None) -> None:
        self._connection = connection
        self.head = head
        self.body = DownstreamBody(self, head.length, body)
        self.kept = kept  # what the app keeps for heads like this one
        self.keeps_alive = head.keeps_alive  # another request may follow
        self.waits_for_continue = head.expects_continue and body is None  # it sends no body before it is told to
        self.added_headers: Headers = []  # those the app's hooks add to every answer of this request
        self.has_begun = False  # the head of the answer has gone out
        self.has_ended = False
        self._may_retry = True
        self._is_chunked = False
        self._left_bytes: int | None = None  # still to come, where the head said how many

    @property
    def endpoints(self) -> Endpoints:
        """Return the addresses of the two ends."""
        return self._connection.endpoints

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait."""
        return self._connection.is_behind

    @property
    def is_gone(self) -> bool:
        """Tell whether it has left."""
        return self._connection.is_gone

    def want_more(self) -> None:
        """Read more of the body, and tell a client that waits for that to send it."""
        if self.waits_for_continue:
            self.waits_for_continue = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.listen()

    def listen(self) -> None:
        """Read on, to see whether the client leaves."""
        self._connection.listen()

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a complete answer, in one piece; raises ValueError for headers that are none."""
        head = self._begin(status, headers)
        self._write(head + self._framed(body) + (b"0\r\n\r\n" if self._is_chunked else b""))
        self._end()

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""
        self.answer(status, headers, body)
        if self._connection.is_behind:
            await self._connection.room()

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come, with those the app's hooks added."""
        self._write(self._begin(status, headers))

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the connection has room for more."""
        self._write(self._framed(data))  # no name holds the copy while a slow reader is waited for
        if self._connection.is_behind:
            await self._connection.room()

    async def finish(self) -> None:
        """End the answer, complete; cut it where the head promised more."""
        if self._is_chunked:
            self._write(b"0\r\n\r\n")
        self._end()

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""
        self._may_retry = False

    def switch(self, headers: Headers) -> RawConnection:
        """Answer a WebSocket's handshake with 101, and give the connection away: it has left HTTP."""
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        self._write(encode_head(101, [self._connection.server.date_line, *SWITCHED, *lines]))
        self.has_begun = self.has_ended = True
        return self._connection.transport, self._connection.leave_http()  # type: ignore[return-value]  # it is one in all that matters

    def abort(self) -> None:
        """Break the answer off, so that nobody takes it for complete."""
        transport = self._connection.transport
        is_open_ended = self.has_begun and not self._is_chunked and self._left_bytes is None
        if is_open_ended and not self.is_gone:  # a proper end of the connection would be that of the answer
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.release()  # what was held came before the break
        transport.abort()

    def stop(self) -> None:
        """Cut an answer under way; who still waits for the first byte of one is told."""
        if not self.has_begun and not self.is_gone:
            self.refuse(ProxyStopped())
        elif not self.has_ended:
            self.abort()

    def fail(self) -> None:
        """Answer for a bug of ours, or cut an answer that has begun."""
        if self.has_begun:
            self.abort()
        else:
            self.refuse(ServerFault())

    def refuse(self, error: ProxyError) -> None:
        """Send an error of ours."""
        body = error.body()
        self.answer(error.status, [*error.headers(), ("content-length", str(len(body)))], body)

    def _begin(self, status: int, headers: Headers) -> bytes:
        if not self._may_retry:
            headers = without_retry(status, headers)
        self._is_chunked, self._left_bytes = False, None  # the headers of an attempt before may have been none
        lines = [self._connection.server.date_line]
        for name, value in [*headers, *self.added_headers]:
            name = name.lower()
            if name == "content-length":
                self._left_bytes = int(value)
            elif name == "connection":  # an error of ours asks for the end; that is said below, once
                self.keeps_alive = False
                continue
            lines.append(f"{name}: {value}\r\n")
        if self.head.method == "HEAD" or status in WITHOUT_BODY:
            self._left_bytes = 0
        elif self._left_bytes is None and self.head.version != "1.0":  # where the connection's end is the answer's
            self._is_chunked = True
            lines.append("transfer-encoding: chunked\r\n")
        if not self.keeps_alive:
            lines.append("connection: close\r\n")
        head = encode_head(status, lines)
        self.has_begun = True
        return head

    def _framed(self, data: bytes) -> bytes:
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if self._left_bytes is not None:
            data = data[: self._left_bytes]
            self._left_bytes -= len(data)
        return data

    def _write(self, data: bytes) -> None:
        transport = self._connection.transport
        if data and not transport.is_closing():
            transport.write(data)

    def _end(self) -> None:
        if self.is_gone:
            return
        if self._left_bytes:
            self.abort()
            return
        self.has_ended = True
        if not self.keeps_alive:
            self._connection.transport.close()
        self._connection.on_answered()


def encode_head(status: int, lines: Iterable[str]) -> bytes:
    """Return a head; each line ends as lines do here. Raises ValueError where one would pass for two.

    A value is the text of its bytes in Latin-1, as in WSGI; what does not fit in there goes out as UTF-8.
    """
    lines = [STATUS_LINES[status], *lines]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise ValueError("a header holds a line break")
    try:
        return text.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        return b"".join(map(encoded_line, lines)) + b"\r\n"


def encoded_line(line: str) -> bytes:
    """Return a line of a head as bytes."""
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape")
