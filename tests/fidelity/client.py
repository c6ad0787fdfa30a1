"""A client that reads whatever an answer turns out to be, as far as it comes."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from fidelity.asked import Asked, pieces_of

WITHOUT_BODY = (204, 304)
LIMIT_BYTES = 2**20
LIMIT_S = 20.0

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


class Client:
    """One connection to one server, opened anew where the last answer ended it."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, batch: Sequence[Asked]) -> list[Outcome]:
        """Send requests one behind the other, and again those that a connection's end left without an answer."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(batch):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=LIMIT_BYTES)
            reader, writer = self._streams
            told = asyncio.Event()
            sending = asyncio.create_task(self._send(writer, batch[len(outcomes) :], told))
            for asked in batch[len(outcomes) :]:
                outcomes.append(await read_answer(reader, asked.method, told))
                if outcomes[-1].is_last or asked.is_last:
                    sending.cancel()
                    await self.close()
                    break
            await asyncio.wait([sending])
            if not sending.cancelled():
                sending.exception()  # who was answered before all was sent
        return outcomes

    async def close(self) -> None:
        """Leave; a second call does nothing."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _send(self, writer: asyncio.StreamWriter, batch: Sequence[Asked], told: asyncio.Event) -> None:
        here = b"127.0.0.1:%d" % self._port
        data = b"".join(each.head.replace(b"HERE", here) + each.content for each in batch)
        if batch[0].expects_continue:
            head, _, rest = data.partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await told.wait()
            data = rest
        for piece in pieces_of(self._rng, data, 6):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


async def read_answer(reader: asyncio.StreamReader, method: str, told: asyncio.Event) -> Outcome:
    """Read one answer as far as it comes; `told` is set once a head has come."""
    outcome = Outcome()
    body = bytearray()
    try:
        while outcome.status < 200:
            await asyncio.wait_for(read_status(reader, outcome), LIMIT_S)
            told.set()
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
