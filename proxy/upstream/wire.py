"""Requests and answers on the wire. A small request goes over the HTTP client's connections with a head made once.

The client (aiohttp) decides what the head says, makes and pools the connections and reads the answers; what it does
beside that for every single request (cookies, redirects, payload classes) costs more than all the rest.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.upstream.connection import SWITCHING_PROTOCOLS, UpstreamConnection
from proxy.upstream.errors import reading
from proxy.upstream.session import MAX_HEADER_BYTES, MAX_HEADERS, SentRequest, broken_off

IN_NO_HEADER = re.compile(r"[\r\n\0]")
READ_AHEAD_BYTES = 65_536
STALE = ("content-encoding", "content-length")


class WireAnswer(Answer):
    """An answer that is still arriving."""

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        content: aiohttp.StreamReader,
        close: Callable[[], object],
    ) -> None:
        self.status = status
        self._content = content
        self._close = close
        self.on_end: Callable[[], None] | None = None  # called once, when nothing more is to come
        self.headers = read_headers(headers)
        is_encoded = False
        for name, value in self.headers:
            if name == "content-type":
                self.content_type = value
            elif name == "content-length":
                self.content_length = int(value)
            elif name == "content-encoding":
                is_encoded = True
        if is_encoded:  # undone already; what describes it no longer holds
            self.headers, self.content_length = self.headers.without(*STALE), None

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> "WireAnswer":
        """Take what the client's session returned."""
        return cls(response.status, response.raw_headers, response.content, response.close)

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure once all is told before it."""
        content = self._content
        # The client itself would drop what it holds when an answer breaks off, and who reads slowly never sees it.
        if content.exception() is not None and (rest := content._read_nowait(-1)):  # noqa: SLF001  readany raises first
            return rest
        try:
            chunk = await content.readany()
        except reading.foreign as error:
            raise reading.translate(error) from error
        if not chunk:
            self._note_end()
        return chunk

    def close(self) -> None:
        """Drop the connection, unless the answer is complete and it has gone back to the pool."""
        self._close()
        self._note_end()

    def _note_end(self) -> None:
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return headers as they stood on the wire, names in lower case, bytes as Latin-1."""
    return Headers((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)


@dataclass(frozen=True)
class Head:
    """What every request of one kind begins with, and the pattern of which connection it needs."""

    pattern: aiohttp.ClientRequest  # never sent itself
    text: bytes  # all but the content-length

    @classmethod
    def of(cls, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str]) -> "Head":
        """Let the client make a head; call it on the event loop. Raises ValueError for what no header may hold."""
        loop = asyncio.get_running_loop()
        pattern = SentRequest(
            method, URL(url, encoded=True), headers=headers, data=b"", loop=loop, session=session, ssl=True
        )
        lines = [f"{method} {pattern.url.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in pattern.headers.items() if name.lower() != "content-length"]
        if any(IN_NO_HEADER.search(line) for line in lines):
            raise ValueError("a header holds a line break")
        return cls(pattern, "\r\n".join(lines).encode("latin-1"))


async def send(session: aiohttp.ClientSession, head: Head, body: bytes) -> WireAnswer:
    """Send once and return the answer; raises the client's errors, and BrokenOff."""
    connector = session.connector
    assert connector is not None  # noqa: S101  nobody asks a session that was closed
    try:
        connection = await connector.connect(head.pattern, [], session.timeout)
    except asyncio.TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError(f"no connection to {head.pattern.url.host} in time") from error
    protocol = connection.protocol
    assert isinstance(protocol, UpstreamConnection)  # noqa: S101  the session's pool makes no others
    reused = protocol.is_used_again()
    try:
        return await exchange(protocol, connection, session.timeout.sock_read, head, body)
    except asyncio.CancelledError:
        protocol.abort()  # closing would wait until the upstream has taken what is written
        connection.close()
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        connection.close()
        raise broken_off(error, reused=reused, has_begun=protocol.has_begun) from error
    except BaseException:
        connection.close()
        raise


async def exchange(
    protocol: ResponseHandler, connection: Connection, silence_s: float | None, head: Head, body: bytes
) -> WireAnswer:
    """Write a request and read the head of its answer; raises the client's errors."""
    protocol.set_response_params(
        skip_payload=head.pattern.method == "HEAD",
        read_until_eof=True,
        auto_decompress=True,
        read_timeout=silence_s,
        read_bufsize=READ_AHEAD_BYTES,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )
    transport = protocol.transport
    if transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    last = b"\r\nConnection: close\r\n\r\n" if connection._connector.force_close else b"\r\n\r\n"  # noqa: SLF001  no public name
    transport.write(b"%b\r\ncontent-length: %d%b%b" % (head.text, len(body), last, body))
    protocol.start_timeout()
    while True:
        try:
            message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientError(f"it is no HTTP: {error.message}") from error
        if message.code >= 200 or message.code == SWITCHING_PROTOCOLS:
            break
    content.on_eof(connection.release)
    return WireAnswer(message.code, message.raw_headers, content, connection.close)
