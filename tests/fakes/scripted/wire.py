"""The writing side of one connection while one answer is on its way."""

import asyncio
import time
from collections.abc import Callable

from fakes.scripted.recorded import Recorded

HEAD_LIMIT_BYTES = 2**20
FRAMING_HEADERS = {"content-length", "transfer-encoding"}


class HungUp(Exception):
    """The client closed the connection."""


class ConnectionOver(Exception):
    """The script closes the connection, with RST or with FIN."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Watch(asyncio.StreamReaderProtocol):
    """Notice at once when the client closes its side, even while nobody reads."""

    def __init__(self, connected: Callable[["Watch", asyncio.StreamWriter], None]) -> None:
        self.reader = asyncio.StreamReader(limit=HEAD_LIMIT_BYTES)
        super().__init__(self.reader, lambda _, writer: connected(self, writer))
        self.gone = asyncio.Event()
        self.gone_at = 0.0
        self.lost = asyncio.Event()

    def eof_received(self) -> bool | None:
        """Keep the writing side open, but know that the client has left."""
        self._note()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Know that the connection is over."""
        self._note()
        super().connection_lost(exc)
        self.lost.set()

    def _note(self) -> None:
        if not self.gone.is_set():
            self.gone_at = time.monotonic()
            self.gone.set()


class Wire:
    """Write one answer: a head built line by line, then a body in whatever framing the script asked for."""

    def __init__(
        self, writer: asyncio.StreamWriter, watch: Watch, request: Recorded, sent: Callable[[int], None]
    ) -> None:
        self.request = request
        self.finished = False
        self.close_on_next: ConnectionOver | None = None
        self._writer = writer
        self._watch = watch
        self._sent = sent
        self._status_line = "HTTP/1.1 200 OK"
        self._headers: list[tuple[str, str]] = []
        self._head_sent = False
        self._chunked = False
        self._chunked_ended = False
        self._raw = False

    @property
    def can_be_reused(self) -> bool:
        """Say whether another request may follow on this connection."""
        asked = (self.request.header("connection") or "").lower()
        answered = {name.lower(): value.lower() for name, value in self._headers}
        framed = bool(FRAMING_HEADERS & answered.keys())
        return framed and not self._raw and "close" not in asked + answered.get("connection", "")

    def set_status(self, line: str) -> None:
        """Set the status line."""
        self._status_line = line

    def add_header(self, name: str, value: str) -> None:
        """Add a header; a repeated name is sent twice."""
        self._headers.append((name, value))

    def end_head(self, framing: tuple[str, str] | None = None) -> bytes:
        """Return the bytes of the head once, later nothing; framing is added only where the script set none."""
        if self._head_sent:
            return b""
        self._head_sent = True
        if framing and not any(name.lower() in FRAMING_HEADERS for name, _ in self._headers):
            self._headers.append(framing)
        self._chunked = ("transfer-encoding", "chunked") in {(n.lower(), v.lower()) for n, v in self._headers}
        lines = [self._status_line, *(f"{name}: {value}" for name, value in self._headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    async def send_body(self, data: bytes) -> None:
        """Send bytes of the body, with Content-Length where nothing else was said."""
        head = self.end_head(("Content-Length", str(len(data))))
        await self.send(head + (b"" if self.request.method == "HEAD" else data))

    async def send_chunk(self, data: bytes, *, last: bool) -> None:
        """Send one chunk of a chunked body, and with `last` its end in the same write."""
        head = self.end_head(("Transfer-Encoding", "chunked"))
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        await self.send(head + chunk + (self._take_end() if last else b""))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes as they are; before a head they stand in its place."""
        if not self._head_sent:
            self._head_sent = self._raw = True
        await self.send(data)

    async def send(self, data: bytes) -> None:
        """Hand bytes to the system, waiting until it has taken them all."""
        if self._watch.gone.is_set():
            raise HungUp
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise HungUp from error
        self._sent(len(data))

    async def pause(self, seconds: float | None) -> None:
        """Wait, or with None wait for ever; a client who leaves ends it."""
        try:
            await asyncio.wait_for(self._watch.gone.wait(), seconds)
        except asyncio.TimeoutError:  # Python 3.10 has not merged the two yet
            return
        if self.finished:
            raise ConnectionOver(reset=False)
        raise HungUp

    async def send_last_chunk(self, trailer: bytes) -> None:
        """End the chunks here; `finish` then adds none of its own."""
        self._chunked_ended = True
        await self.send_raw(b"0\r\n" + trailer + b"\r\n")

    async def finish(self) -> None:
        """End the answer the way its framing wants it."""
        if self.finished:
            return
        rest = self.end_head(("Content-Length", "0")) + self._take_end()
        if rest:
            await self.send(rest)
        self.finished = True

    def _take_end(self) -> bytes:
        if not self._chunked or self._chunked_ended:
            return b""
        self._chunked_ended = True
        return b"0\r\n\r\n"
