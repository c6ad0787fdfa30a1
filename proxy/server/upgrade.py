"""A client's connection that leaves HTTP: the WebSocket handshake, and what arrives before it is answered."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HELD_LIMIT_BYTES = 65_536  # clients wait for the answer; one that does not is read no further

RawConnection = tuple[asyncio.Transport, bytes]
RawHeaders = list[tuple[bytes, bytes]]


def asks_for_websocket(headers: RawHeaders) -> bool:
    """Tell whether the headers of a request that wants to leave HTTP, names in lower case, name a WebSocket."""
    return any(name == b"upgrade" and value.strip().lower() == b"websocket" for name, value in headers)


class Upgrade:
    """One handshake under way: the request it came with is answered over HTTP, or by leaving it."""

    def __init__(self, connection: HttpToolsProtocol) -> None:
        self._connection = connection
        self._held = b""
        connection.cycle.keep_alive = False  # after a refusal the parser takes nothing more

    def keep(self, data: bytes) -> None:
        """Keep what arrives behind the handshake."""
        self._held += data
        if len(self._held) > HELD_LIMIT_BYTES:
            self._connection.transport.pause_reading()

    def switch(self, headers: RawHeaders) -> RawConnection:
        """Answer 101 and give the connection away; nothing of HTTP touches it any more."""
        connection = self._connection
        connection.cycle.response_started = connection.cycle.disconnected = True
        lines = [*connection.server_state.default_headers, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in [*lines, *headers])
        connection.transport.write(STATUS_LINE[101] + head + b"\r\n")
        held, self._held = self._held, b""
        return connection.transport, held
