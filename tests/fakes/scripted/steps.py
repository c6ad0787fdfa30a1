"""The steps an answer is made of; each does one thing to the wire."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from fakes.scripted.wire import ConnectionOver, Wire


class Step(ABC):
    """One thing done while answering."""

    @abstractmethod
    async def run(self, wire: Wire) -> None:
        """Do it."""


@dataclass(frozen=True)
class Status(Step):
    """Set the status line; without this step it says 200 OK."""

    code: int
    reason: str = "Scripted"

    async def run(self, wire: Wire) -> None:
        wire.set_status(f"HTTP/1.1 {self.code} {self.reason}")


@dataclass(frozen=True)
class Header(Step):
    """Add a response header, in this letter case and order."""

    name: str
    value: str

    async def run(self, wire: Wire) -> None:
        wire.add_header(self.name, self.value)


@dataclass(frozen=True)
class EndHead(Step):
    """Send the head now, before any byte of the body; with `chunked` a chunked body is announced."""

    chunked: bool = False

    async def run(self, wire: Wire) -> None:
        await wire.send(wire.end_head(("Transfer-Encoding", "chunked") if self.chunked else None))


@dataclass(frozen=True)
class Body(Step):
    """Send bytes of the body; the first one adds Content-Length where no framing header was set."""

    data: bytes

    async def run(self, wire: Wire) -> None:
        await wire.send_body(self.data)


@dataclass(frozen=True)
class Chunk(Step):
    """Send one chunk of a chunked body; `last` sends the end of the body in the same write."""

    data: bytes
    last: bool = False

    async def run(self, wire: Wire) -> None:
        await wire.send_chunk(self.data, last=self.last)


@dataclass(frozen=True)
class Raw(Step):
    """Send bytes as they are: garbage, a head of your own, half a chunk."""

    data: bytes

    async def run(self, wire: Wire) -> None:
        await wire.send_raw(self.data)


@dataclass(frozen=True)
class LastChunk(Step):
    """End an answer in chunks, with these lines as its trailer; nothing more is sent for it."""

    trailer: bytes = b""

    async def run(self, wire: Wire) -> None:
        await wire.send_last_chunk(self.trailer)


@dataclass(frozen=True)
class Drip(Step):
    """Send bytes one at a time, each in its own write after a gap."""

    data: bytes
    gap_s: float

    async def run(self, wire: Wire) -> None:
        for byte in self.data:
            await wire.pause(self.gap_s)
            await wire.send(bytes([byte]))


@dataclass(frozen=True)
class Flood(Step):
    """Send as many bytes as fast as the client takes them; the server's `bytes_sent` tells how far it came."""

    size_bytes: int
    piece: bytes = b"x" * 65536

    async def run(self, wire: Wire) -> None:
        left = self.size_bytes
        while left > 0:
            await wire.send_chunk(self.piece[:left], last=False)
            left -= len(self.piece)


@dataclass(frozen=True)
class Pause(Step):
    """Wait; a client who leaves meanwhile is noticed at once."""

    seconds: float

    async def run(self, wire: Wire) -> None:
        await wire.pause(self.seconds)


@dataclass(frozen=True)
class Stall(Step):
    """Send nothing more and keep the connection open until the client leaves."""

    async def run(self, wire: Wire) -> None:
        await wire.pause(None)


@dataclass(frozen=True)
class EndAnswer(Step):
    """End the answer as its framing wants it; what follows happens to an idle connection."""

    async def run(self, wire: Wire) -> None:
        await wire.finish()


@dataclass(frozen=True)
class Fin(Step):
    """Close the connection with FIN, whatever was promised before."""

    async def run(self, wire: Wire) -> None:
        raise ConnectionOver(reset=False)


@dataclass(frozen=True)
class Reset(Step):
    """Close the connection with RST."""

    async def run(self, wire: Wire) -> None:
        raise ConnectionOver(reset=True)


@dataclass(frozen=True)
class CloseOnNext(Step):
    """Take one more request on this connection, and close it then without a byte."""

    reset: bool = False

    async def run(self, wire: Wire) -> None:
        wire.close_on_next = ConnectionOver(reset=self.reset)
