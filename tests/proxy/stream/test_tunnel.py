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

    with_tunnel(check, stalled_s=0.2, closing_s=0.2)


def test_a_side_that_takes_little_by_little_is_not_cut() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, MUCH))
        received = 0
        while received < len(MUCH):
            await asyncio.sleep(0.005)  # slow, and yet faster than the limit
            received += len(await asyncio.get_running_loop().sock_recv(upstream, 65_536))
        await sending

    with_tunnel(check, stalled_s=0.6)


def test_a_side_that_leaves_its_last_bytes_unread_is_cut() -> None:
    async def check(tunnel: Tunnel, client: socket.socket, upstream: socket.socket) -> None:
        await asyncio.get_running_loop().sock_sendall(client, FULL[:40_000])
        client.close()
        await tunnel.over()

    with_tunnel(check, closing_s=0.2)
