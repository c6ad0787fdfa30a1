"""A connection to an upstream that has left HTTP."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.http.batching import BatchedTransport
from proxy.http.response_reader import ResponseReader
from proxy.upstream.messages import UpstreamSocket
from proxy.upstream.wire import headers_of


class Connection(Protocol):
    """What it asks of the connection it was."""

    def leave(self) -> None:
        """Take note that somebody else is told of this connection's end."""


class OpenSocket(UpstreamSocket):
    """A connection that has left HTTP."""

    def __init__(self, connection: Connection, transport: BatchedTransport, reader: ResponseReader) -> None:
        self._connection = connection
        self._transport = transport
        self._arrived = reader.rest
        self.headers = headers_of(reader.headers)
        self.on_end: Callable[[], None] | None = None  # called once, when it is closed

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Return the connection and what has arrived on it; the HTTP client reads no more, and times nothing."""
        transport: asyncio.Transport = self._transport  # type: ignore[assignment]  # it is one in all that matters
        return transport, self._arrived

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._transport.close()
        self._connection.leave()
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()
