"""uvicorn's HTTP protocol, with what it lacks: the client's leaving ends its request, refusals are JSON."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from proxy.errors import MalformedRequest
from proxy.server.bridge import CONNECTION

# Java's HTTP client makes this offer with every request; a request line and headers up to it, then the header itself.
H2C_OFFER = re.compile(
    rb"\A([A-Z]+ [^\r\n]+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?)upgrade:[ \t]*h2c[ \t]*\r\n", re.IGNORECASE
)


class ClientConnection(HttpToolsProtocol):
    """One client's connection, and the tasks that serve its requests."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._tasks: set[asyncio.Task[Any]] = set()

    def serves(self, task: "asyncio.Task[Any]") -> None:
        """Cancel this task when the client leaves, until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abort(self) -> None:
        """Cut the connection at once."""
        self.transport.abort()

    def listen(self) -> None:
        """Read on once the body is there: only a connection that is read shows that the client has left."""
        self.flow.resume_reading()

    def end_by_closing(self) -> None:
        """Send the answer without chunks, for HTTP/1.0; each write is announced first."""
        self.cycle.chunked_encoding = False

    def announce(self, size_bytes: int) -> None:
        """Say how much the next write will hold."""
        self.cycle.expected_content_length = size_bytes

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is written inside in one piece; nothing inside may wait."""
        self._corked.cork()
        try:
            yield
        finally:
            self._corked.uncork()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a transport that can hold writes back."""
        self._corked = CorkableTransport(transport)
        super().connection_made(self._corked)  # type: ignore[arg-type]  # it is one in all that matters

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what the client no longer waits for."""
        super().connection_lost(exc)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, without an offer of HTTP/2: the parser would wait for an upgrade and lose the body."""
        if b"h2c" in data and (self.cycle is None or not self.cycle.more_body):
            data = H2C_OFFER.sub(rb"\1", data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Begin a request; the proxy is not a forward proxy, so the target must be a path."""
        if not self.url.startswith(b"/"):
            raise MalformedRequest("the request target must begin with a slash")
        self.scope[CONNECTION] = self  # type: ignore[literal-required]  # ASGI allows more keys
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read, in the API's words, and close; a running answer is cut."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.abort()
            return
        error = MalformedRequest(msg)
        body = error.body()
        head = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        head += [(name.encode(), value.encode()) for name, value in error.headers()]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + body)
        self.transport.close()


class CorkableTransport:
    """A transport whose writes can be collected: a small answer then leaves in one packet, by one system call."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Write, or keep for `uncork`."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def cork(self) -> None:
        """Keep writes back."""
        self._held = []

    def uncork(self) -> None:
        """Write what was kept back, in one piece."""
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Close once everything is written, what was kept back too."""
        self.uncork()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
