"""Both ends of the wire: a client that reads whatever an answer turns out to be, an upstream that notes requests."""

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from fakes.scripted.reading import NotHttp, read_body, read_head

RESET = struct.pack("ii", 1, 0)
WITHOUT_BODY = (204, 304)
LIMIT_BYTES = 2**20
LIMIT_S = 6.0
CASE = "x-client-request-id"  # the header that tells which case a request belongs to

Headers = list[tuple[str, bytes]]


@dataclass
class Outcome:
    """What a client got for one request."""

    version: str = ""
    status: int = 0
    headers: Headers = field(default_factory=list)  # names in lower case
    body: bytes = b""
    is_complete: bool = False
    is_last: bool = False  # the connection takes no request after this one
    is_late: bool = False  # it stood still for longer than anything may

    def values(self, name: str) -> list[bytes]:
        """Return the values of a header."""
        return [value for key, value in self.headers if key == name]


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
    end: str  # "keep", "fin" or "rst"
    pause_s: float = 0  # between two pieces


async def read_answer(reader: asyncio.StreamReader, method: str) -> Outcome:
    """Read one answer as far as it comes."""
    outcome = Outcome()
    body = bytearray()
    try:
        while outcome.status < 200:
            await asyncio.wait_for(read_status(reader, outcome), LIMIT_S)
        outcome.is_last = is_last(outcome, method)
        await asyncio.wait_for(read_content(reader, outcome, method, body), LIMIT_S)
        outcome.is_complete = True
    except asyncio.TimeoutError:
        outcome.is_late = outcome.is_last = True
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        body += error.partial if isinstance(error, asyncio.IncompleteReadError) else b""
        outcome.is_last = True
    outcome.body = bytes(body)
    return outcome


async def read_status(reader: asyncio.StreamReader, outcome: Outcome) -> None:
    """Read a head, an interim one too."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    version, status, *_ = first.split(b" ")
    outcome.version, outcome.status = version.decode(), int(status)
    pairs = (line.partition(b":") for line in lines)
    outcome.headers = [(name.decode().lower(), value.strip(b" \t")) for name, _, value in pairs]


def is_last(outcome: Outcome, method: str) -> bool:
    """Tell whether the connection ends with this answer."""
    named = b",".join(outcome.values("connection")).lower()
    is_framed = bool(outcome.values("content-length") or outcome.values("transfer-encoding"))
    if b"close" in named or (outcome.version == "HTTP/1.0" and b"keep-alive" not in named):
        return True
    return not is_framed and outcome.status not in WITHOUT_BODY and method != "HEAD"


async def read_content(reader: asyncio.StreamReader, outcome: Outcome, method: str, body: bytearray) -> None:
    """Read the body into `body`, which keeps what came where it breaks off."""
    if method == "HEAD" or outcome.status in WITHOUT_BODY:
        return
    if outcome.values("transfer-encoding"):
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await read_sized(reader, size, body)
            assert await reader.readexactly(2) == b"\r\n"
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    elif lengths := outcome.values("content-length"):
        await read_sized(reader, int(lengths[0]), body)
    else:
        while piece := await reader.read(65_536):
            body += piece


async def read_sized(reader: asyncio.StreamReader, size: int, body: bytearray) -> None:
    """Read so many bytes; raises IncompleteReadError where fewer come."""
    while size:
        piece = await reader.read(min(size, 65_536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", size)
        body += piece
        size -= len(piece)


class RecordingUpstream:
    """Answer each case by its script, and note what was asked. It lives on the loop of the test."""

    def __init__(self, scripts: Mapping[int, Script]) -> None:
        self.seen: dict[int, list[Seen]] = {}
        self.failures: list[BaseException] = []
        self._scripts = scripts
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "RecordingUpstream":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LIMIT_BYTES, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

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
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left
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
        number = int(re.sub(r"\D", "", head.header(CASE)))
        self.seen.setdefault(number, []).append(Seen(head.method, head.target, head.headers, bytes(body)))
        script = self._scripts[number]
        for piece in script.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(script.pause_s)
        if script.end == "fin":
            writer.write_eof()
            await reader.read()  # what was sent meanwhile: to close before would reset the connection
        elif script.end == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        return script.end == "keep"
