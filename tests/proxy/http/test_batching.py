"""Writes that wait for each other: what reaches the other end of real sockets, and when."""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import cast

import pytest

from proxy.http.batching import (
    MAX_HELD,
    MAX_HELD_BYTES,
    READ_BYTES,
    BatchedTransport,
    Turn,
    read_less_at_once,
)

Line = tuple[BatchedTransport, socket.socket]
Scenario = Callable[..., Coroutine[None, None, None]]


def over(count: int, scenario: Scenario) -> None:
    """Run a scenario on the standard loop, with so many connections and the other ends of their sockets."""

    async def run() -> None:
        lines: list[Line] = []
        for ours, theirs in [socket.socketpair() for _ in range(count)]:
            theirs.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
            lines.append((BatchedTransport(transport), theirs))
        await scenario(*lines)
        for line, end in lines:
            line.abort()
            end.close()
        await asyncio.sleep(0)

    asyncio.run(run())


def arrived(end: socket.socket) -> bytes | None:
    """Return what has arrived, b"" at the end, None where nothing has."""
    try:
        return end.recv(1_000_000)
    except BlockingIOError:
        return None


def give_others_something_to_do() -> None:
    """Leave the loop something to do when this step is over."""
    asyncio.get_running_loop().call_soon(int)


def test_who_writes_alone_writes_at_once() -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        transport.write(b"one")
        assert arrived(end) == b"one"

    over(1, scenario)


def test_writes_of_a_busy_turn_leave_at_its_end_each_in_its_order() -> None:
    async def scenario(one: Line, other: Line) -> None:
        (first, first_end), (second, second_end) = one, other
        give_others_something_to_do()
        first.write(b"one ")
        second.write(b"two")
        first.writelines([b"and ", b"three"])
        assert (arrived(first_end), arrived(second_end)) == (None, None)
        assert first.get_write_buffer_size() == len(b"one and three")
        await asyncio.sleep(0)
        assert (arrived(first_end), arrived(second_end)) == (b"one and three", b"two")
        assert first.get_write_buffer_size() == 0

    over(2, scenario)


def test_what_follows_something_held_never_overtakes_it() -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        give_others_something_to_do()
        transport.write(b"one ")
        transport._turn.others = ()
        transport.write(b"two")
        await asyncio.sleep(0)
        assert arrived(end) == b"one two"

    over(1, scenario)


def test_no_more_than_a_few_connections_wait_for_each_other() -> None:
    async def scenario(*connected: Line) -> None:
        give_others_something_to_do()
        for transport, _ in connected:
            transport.write(b"one")
        assert [arrived(end) for _, end in connected] == [*[b"one"] * MAX_HELD, None]
        await asyncio.sleep(0)
        assert arrived(connected[-1][1]) == b"one"

    over(MAX_HELD + 1, scenario)


def test_much_is_not_held() -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        give_others_something_to_do()
        transport.write(b"x")
        transport.write(b"x" * MAX_HELD_BYTES)
        assert arrived(end) == b"x" * (MAX_HELD_BYTES + 1)

    over(1, scenario)


def test_a_buffer_its_owner_uses_again_is_sent_as_it_was() -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        give_others_something_to_do()
        buffer = bytearray(b"one")
        transport.write(buffer)
        buffer[:] = b"two"
        await asyncio.sleep(0)
        assert arrived(end) == b"one"

    over(1, scenario)


@pytest.mark.parametrize("ending", [BatchedTransport.close, BatchedTransport.write_eof])
def test_an_end_comes_after_what_is_held(ending: Callable[[BatchedTransport], None]) -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        give_others_something_to_do()
        transport.write(b"one")
        ending(transport)
        for _ in range(3):
            await asyncio.sleep(0)
        assert (arrived(end), arrived(end)) == (b"one", b"")

    over(1, scenario)


def test_what_is_held_when_the_connection_is_cut_is_not_sent() -> None:
    async def scenario(line: Line) -> None:
        transport, end = line
        give_others_something_to_do()
        transport.write(b"one")
        transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        assert arrived(end) == b""

    over(1, scenario)


def test_a_writer_is_told_to_wait_where_the_other_end_takes_nothing() -> None:
    class Told(asyncio.Protocol):
        waits = False

        def pause_writing(self) -> None:
            self.waits = True

    async def scenario(line: Line) -> None:
        transport, _ = line
        told = Told()
        transport.set_protocol(told)
        for _ in range(100):
            give_others_something_to_do()
            transport.write(b"x" * MAX_HELD_BYTES)
            await asyncio.sleep(0)
        assert told.waits

    over(1, scenario)


def test_the_standard_loop_shows_what_it_has_to_do() -> None:
    loop = asyncio.new_event_loop()
    try:
        turn = Turn(loop)
        assert len(turn.others) == 0
        loop.call_soon(int)
        assert len(turn.others) == 1
    finally:
        loop.close()


def test_with_a_loop_that_does_not_show_it_nothing_is_held() -> None:
    foreign = cast("asyncio.AbstractEventLoop", object())
    assert not Turn(foreign).others


@pytest.mark.parametrize("size", [10, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 1_000_000])
def test_however_little_is_read_at_once_all_of_it_comes(size: int) -> None:
    class Reader(asyncio.Protocol):
        def __init__(self) -> None:
            self.pieces: list[bytes] = []
            self.over = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            read_less_at_once(transport)

        def data_received(self, data: bytes) -> None:
            self.pieces.append(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.over.set_result(exc)

    async def run() -> list[bytes]:
        ours, theirs = socket.socketpair()
        _, reader = await asyncio.get_running_loop().create_connection(Reader, sock=ours)
        with theirs:
            theirs.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(theirs, bytes(size))
        await reader.over
        return reader.pieces

    pieces = asyncio.run(run())
    assert b"".join(pieces) == bytes(size)
    if sys.platform != "win32":  # the loop of Windows reads in its own way
        assert max(map(len, pieces)) <= READ_BYTES
