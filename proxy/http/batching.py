"""Write to many sockets in one go: what a busy turn of the event loop has to say is held for a moment, and then sent.

A write to a process of this computer that waits wakes it, and waking costs several times the write. Sockets that are
written one right after another wake it once. Everything in here lives on the event loop.
"""

import asyncio
from collections.abc import Sized
from typing import Any
from weakref import WeakKeyDictionary

MAX_HELD = 8  # connections; more would wait long for little
MAX_HELD_BYTES = 16_384  # of one connection; to send more takes longer than to wake who takes it

READ_BYTES = 122_880  # less than the 128 kB from which on room comes straight from the system


def read_less_at_once(transport: asyncio.BaseTransport) -> None:
    """Have the standard loop ask the system for less than its 256 kB at once.

    For each read it makes room for all it asks for. So much room comes straight from the system and goes back there,
    which takes ten times as long as to read what mostly comes.
    """
    if hasattr(transport, "max_size"):  # other loops have none
        transport.max_size = READ_BYTES


class Turn:
    """What one event loop holds; it is written at the end of the loop's turn at the latest."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._holding: list[BatchedTransport] = []
        # What else the loop has to do now. The standard loop shows it only here, which a contract test watches; with a
        # loop that does not show it nothing is ever held.
        self.others: Sized = getattr(loop, "_ready", ())

    def hold(self, transport: "BatchedTransport") -> None:
        """Take note that this connection holds something."""
        if not self._holding:
            self._loop.call_soon(self.end)
        self._holding.append(transport)
        if len(self._holding) >= MAX_HELD:
            self.end()

    def end(self) -> None:
        """Write all that is held."""
        holding, self._holding = self._holding, []
        for transport in holding:
            transport.release()


TURNS: "WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]" = WeakKeyDictionary()


class BatchedTransport:
    """A transport that holds what it is given to write while others have something to do too.

    In everything else it is the transport behind it.
    """

    __slots__ = ("_held", "_held_bytes", "_transport", "_turn", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._transport = transport
        self._turn = TURNS.get(loop) or TURNS.setdefault(loop, Turn(loop))
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.is_closing = transport.is_closing  # these three are asked for with every request
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write at once what is large, and where nobody else has anything to do; else a moment later."""
        if self._held_bytes + len(data) > MAX_HELD_BYTES or not (self._held or self._turn.others):
            self.release()
            self._transport.write(data)
            return
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        if len(self._held) == 1:
            self._turn.hold(self)

    def writelines(self, pieces: list[bytes]) -> None:
        """Write them all."""
        self.write(b"".join(pieces))

    def release(self) -> None:
        """Write what is held."""
        if self._held:
            held, self._held, self._held_bytes = self._held, [], 0
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def write_eof(self) -> None:
        """Say that nothing more comes, once all is written."""
        self.release()
        self._transport.write_eof()

    def close(self) -> None:
        """Close once all is written."""
        self.release()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is held is lost, as is all that has not left yet."""
        self._held, self._held_bytes = [], 0
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that have not left."""
        return self._held_bytes + self._transport.get_write_buffer_size()
