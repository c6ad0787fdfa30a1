"""The WebSocket handshake with the upstream, over the same HTTP client as every request."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from proxy.errors.upstream import UpstreamProtocolFailure
from proxy.upstream.messages import UpstreamSocket
from proxy.upstream.wire import WireAnswer, read_headers


async def shake_hands(session: aiohttp.ClientSession, url: str, headers: CIMultiDict[str]) -> "OpenSocket | WireAnswer":
    """Send the client's handshake; return the open socket, or the upstream's answer where it refuses."""
    response = await session.get(URL(url, encoded=True), headers=headers, allow_redirects=False)
    if response.status != 101:
        return WireAnswer.of(response)
    handler = response.connection.protocol if response.connection is not None else None
    if handler is None or handler.transport is None or not handler.upgraded:
        response.close()
        raise UpstreamProtocolFailure("it said 101 and did not become a WebSocket")
    return OpenSocket(response, handler, handler.transport)


class OpenSocket(UpstreamSocket):
    """A connection that has left HTTP. The HTTP client keeps count of it until it is closed."""

    def __init__(
        self, response: aiohttp.ClientResponse, handler: ResponseHandler, transport: asyncio.Transport
    ) -> None:
        self._response = response
        self._handler = handler
        self._transport = transport
        self.headers = read_headers(response.raw_headers)
        self.on_end: Callable[[], None] | None = None  # called once, when it is closed

    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Return the connection and what has arrived on it; the HTTP client reads no more, and times nothing."""
        arrived = Arrived()
        self._handler.set_parser(arrived, None)
        return self._transport, bytes(arrived.data)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._response.close()
        self._handler.connection_lost(None)  # who took it over was told, and the HTTP client was not
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()


class Arrived:
    """Take from the HTTP client what it has read beyond the handshake."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Keep it."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Do nothing: the transport tells its new owner."""
