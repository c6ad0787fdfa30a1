"""An upstream that answers each case by its script, and notes what it was asked."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from fakes.loops import end_tasks, stop_accepting
from fakes.scripted.reading import NotHttp, read_body, read_head

CASE = "x-client-request-id"  # the header that tells which case a request belongs to
LIMIT_BYTES = 2**20
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Seen:
    """A request as the upstream got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Script:
    """What the upstream does: the pieces it writes one by one, and how it ends."""

    pieces: list[bytes]
    end: str  # "keep", "fin", "rst", or "surplus": kept, and more behind the answer than was announced
    pause_s: float = 0  # between two pieces


class RecordingUpstream:
    """Answer each case by its script, and note what was asked. It lives on the loop of the test."""

    def __init__(self, scripts: Mapping[int, Script], tls: ssl.SSLContext | None = None) -> None:
        self.seen: dict[int, list[Seen]] = {}
        self.failures: list[BaseException] = []
        self._scripts = scripts
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "RecordingUpstream":
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=LIMIT_BYTES, backlog=1024, ssl=self._tls
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await stop_accepting(self._server)
        await end_tasks()

    @property
    def port(self) -> int:
        """Return where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        except asyncio.CancelledError:
            writer.transport.abort()  # without TLS's farewell, for which nobody waits
        except (NotHttp, AssertionError, LookupError, ValueError) as failure:
            self.failures.append(failure)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await read_head(reader)
        if head is None:
            return False
        if head.expects_continue:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        await read_body(reader, head, body)
        if not head.header(CASE):  # the proxy looks whether an upstream that failed so often is there again
            assert (head.method, head.target) == ("GET", "/v1/models"), head
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return True
        number = int(re.sub(r"\D", "", head.header(CASE)))
        self.seen.setdefault(number, []).append(Seen(head.method, head.target, head.headers, bytes(body)))
        script = self._scripts[number]
        for piece in script.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(script.pause_s)
        if script.end == "fin" and self._tls is None:
            writer.write_eof()
            await reader.read()  # what was sent meanwhile: to close before would reset the connection
        elif script.end == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        return script.end in ("keep", "surplus")
