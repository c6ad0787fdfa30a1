"""What goes through an open WebSocket: every message, ping and close code, as the other side sent it."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from fakes.opening import open_socket
from fakes.running_proxy import RunningProxy
from fakes.socket_upstream import SocketUpstream
from sockets.any_tunnel import ThroughAnyTunnel
from waiting import wait_for


class TestThroughOurServer(ThroughAnyTunnel):
    """What holds under any server."""


MESSAGES = {
    "text": "Grüße, 世界",
    "nothing": "",
    "bytes": bytes(range(256)),
    "100 kB of text": "wörd" * 25_000,
    "10 MB of bytes": os.urandom(10 * 2**20),
}


@pytest.mark.core
@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_message_goes_both_ways(
    proxy: RunningProxy, upstream: SocketUpstream, message: str | bytes, compression: str | None
) -> None:
    with open_socket(proxy, compression=compression) as client:
        client.send(message)

        assert client.recv(timeout=20) == message


def test_compression_is_agreed_on_end_to_end(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy, compression="deflate") as client:
        agreed = client.response.headers["Sec-WebSocket-Extensions"]
        assert "permessage-deflate" in agreed
    with open_socket(proxy, compression=None) as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers


def test_a_message_in_fragments_stays_in_fragments(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    pieces: list[list[str]] = []

    async def note_fragments(connection: ServerConnection) -> None:
        pieces.append([str(piece) async for piece in connection.recv_streaming()])

    upstream.talk = note_fragments
    with open_socket(proxy) as client:
        client.send(iter(["one", "two", "three"]))
        wait_for(lambda: pieces, "the fragments")

    assert [piece for piece in pieces[0] if piece] == ["one", "two", "three"]


def test_the_upstream_speaks_first(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("welcome")

    upstream.talk = greet
    with open_socket(proxy) as client:
        assert client.recv(timeout=5) == "welcome"


def test_pings_are_answered_by_the_other_end(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    answered = threading.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping(b"from the upstream"))
        answered.set()
        await connection.wait_closed()

    with open_socket(proxy) as client:
        assert client.ping(b"from the client").wait(5)
    upstream.talk = ping
    with open_socket(proxy):
        assert answered.wait(5)


CODES = [(1000, "done"), (1001, "leaving"), (1008, ""), (1011, "a bug"), (4000, "Grüße"), (4999, "x" * 123)]


@pytest.mark.core
@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_clients_close_code_reaches_the_upstream(
    proxy: RunningProxy, upstream: SocketUpstream, code: int, reason: str
) -> None:
    with open_socket(proxy) as client:
        client.close(code, reason)

    wait_for(lambda: upstream.closes, "the upstream's end")
    assert upstream.closes == [(code, reason)]


@pytest.mark.core
@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_upstreams_close_code_reaches_the_client(
    proxy: RunningProxy, upstream: SocketUpstream, code: int, reason: str
) -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    upstream.talk = leave
    with open_socket(proxy) as client:
        assert client.recv(timeout=5) == "last words"
        expected = ConnectionClosedOK if code in (1000, 1001) else ConnectionClosedError
        with pytest.raises(expected) as caught:
            client.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)


def test_a_socket_outlives_the_time_limit_for_answers(
    start: Callable[..., RunningProxy], upstream: SocketUpstream
) -> None:
    impatient = start(upstream.base_url, openai_timeout=0.2)
    with open_socket(impatient) as client:
        with suppress(TimeoutError):
            client.recv(timeout=0.7)  # nothing comes, for longer than the limit
        client.send("still here")

        assert client.recv(timeout=5) == "still here"
