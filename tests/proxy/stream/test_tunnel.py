"""The tunnel itself, over connections whose other ends the test holds."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from proxy.stream.tunnel import Tunnel

FULL = b"x" * 4 * 2**20  # more than every buffer on the way takes for a side that does not read
MUCH = FULL[:1_200_000]

Check = Callable[[Tunnel, socket.socket, socket.socket], Awaitable[Any]]


async def transport_of(end: socket.socket) -> asyncio.Transport:
    end.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=end)
    return transport


def with_tunnel(check: Check, arrived: tuple[bytes, bytes] = (b"", b""), **limits: float) -> None:
    """Join two pairs of sockets, and give the outer ends to the check: the client's, the upstream's."""

    async def run() -> None:
        (client, inner), (upstream, other) = socket.socketpair(), socket.socketpair()
        with client, upstream:
            client.setblocking(False)
            upstream.setblocking(False)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            lines = [(await transport_of(inner), arrived[0]), (await transport_of(other), arrived[1])]
            tunnel = Tunnel(*lines, **limits)
            over = asyncio.create_task(tunnel.over())
            await asyncio.wait_for(check(tunnel, client, upstream), 10)
            over.cancel()
            await asyncio.wait([over], timeout=10)
            assert over.done()

    asyncio.run(run())


async def read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await asyncio.get_running_loop().sock_recv(end, size - len(data))
        if not piece:
            break
        data += piece
    return data


@pytest.mark.core
def test_what_had_arrived_goes_first() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        client.send(b" later")
        upstream.send(b" later")

        assert await read(upstream, 11) == b"early later"
        assert await read(client, 11) == b"first later"

    with_tunnel(check, (b"early", b"first"))


@pytest.mark.core
@pytest.mark.parametrize("leaver", ["client", "upstream"])
def test_the_end_of_one_side_is_the_end_of_both(leaver: str) -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        leaving, staying = (client, upstream) if leaver == "client" else (upstream, client)
        leaving.send(b"last words")
        leaving.close()

        assert await read(staying, 100) == b"last words"
        await tunnel.over()

    with_tunnel(check)


def test_a_side_that_takes_nothing_is_cut_in_the_end() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, FULL))
        await tunnel.over()
        with pytest.raises(ConnectionError):
            await sending

    with_tunnel(check, stalled_timeout_s=0.2, linger_timeout_s=0.2)


def test_a_side_that_takes_little_by_little_is_not_cut() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, MUCH))
        received = 0
        while received < len(MUCH):
            await asyncio.sleep(0.005)  # slow, and yet faster than the limit
            received += len(await asyncio.get_running_loop().sock_recv(upstream, 65_536))
        await sending

    with_tunnel(check, stalled_timeout_s=0.6)


def test_a_side_that_leaves_its_last_bytes_unread_is_cut() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, FULL[:40_000])
        client.close()
        await tunnel.over()

    with_tunnel(check, linger_timeout_s=0.2)


HELLO = b"\x81\x05hello"  # a frame of either side: nobody looks at the mask
HALF = HELLO[:4]
HALF_A_HEAD = HELLO[:1]
FRAGMENT = b"\x01\x05hello"
CLOSED = b"\x88\x02\x03\xe8"
AWAY = b"\x88\x02\x03\xe9"

# What each side had sent, and whether the other is then told.
STANDINGS: dict[str, tuple[bytes, bool]] = {
    "nothing": (b"", True),
    "a frame": (HELLO, True),
    "a fragment": (FRAGMENT, True),
    "half a frame": (HELLO + HALF, False),
    "half a head": (HELLO + HALF_A_HEAD, False),
    "a close frame": (CLOSED, False),
}


@pytest.mark.core
@pytest.mark.parametrize("up", STANDINGS)
@pytest.mark.parametrize("down", STANDINGS)
def test_each_side_is_told_of_the_end_where_no_frame_is_under_way(up: str, down: str) -> None:
    (sent_up, tells_upstream), (sent_down, tells_client) = STANDINGS[up], STANDINGS[down]

    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        client.send(sent_up)
        upstream.send(sent_down)
        assert await read(upstream, len(sent_up)) == sent_up
        assert await read(client, len(sent_down)) == sent_down
        over = asyncio.create_task(tunnel.over())
        await asyncio.sleep(0)
        over.cancel()
        told_client, told_upstream = await read(client, len(AWAY)), await read(upstream, 2 + 4 + 2)

        assert told_client == (AWAY if tells_client else b"")
        assert told_upstream[:2] == (b"\x88\x82" if tells_upstream else b"")

    with_tunnel(check, close_timeout_s=0.2)
