"""How a WebSocket ends: whoever leaves, in whatever way, takes the other side along, and nothing is left behind."""

import logging
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from fakes.opening import HANDSHAKE, REALTIME, open_socket
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream, SilentBeforeHeaders
from fakes.shared_upstream import connect
from fakes.socket_upstream import SocketUpstream
from fakes.wire_client import WireClient
from proxy.server.limits import Limits
from waiting import wait_for

RESET = struct.pack("ii", 1, 0)
HALF_A_FRAME = bytes.fromhex("818a00000000") + b"half"
GOING_AWAY = bytes.fromhex("880203e9")


@pytest.mark.core
def test_an_upstream_that_breaks_off_ends_the_client_at_once(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        began = time.monotonic()
        upstream.abort_all()
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=5)

    assert caught.value.rcvd is None  # no invented farewell
    assert time.monotonic() - began < 2


@pytest.mark.core
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_client_that_breaks_off_ends_the_upstream_at_once(
    proxy: RunningProxy, upstream: SocketUpstream, how: str
) -> None:
    client = raw_socket(proxy)
    if how == "RST":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()

    wait_for(lambda: upstream.closes, "the upstream's end", limit_s=2)
    assert upstream.closes[0][0] == 1006


def test_a_client_that_leaves_before_the_upstream_has_answered_ends_the_asking(
    start: Callable[..., RunningProxy],
) -> None:
    with ScriptedUpstream() as scripted:
        scripted.answer(SilentBeforeHeaders())
        with connect(start(scripted.base_url)) as client:
            client.send(client.request("GET", REALTIME, None, *HANDSHAKE))
            scripted.wait_for_requests(1)
            left_at = time.monotonic()

        assert scripted.wait_for_hangup() - left_at < 2


def test_two_hundred_idle_sockets_live_and_leave_nothing_behind(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy):  # whatever is made once is made
        pass
    wait_for(lambda: upstream.open_connections == 0, "the first socket's end")
    process = psutil.Process()
    wait_for(Path(f"{proxy.services.ledger.file}-wal").exists, "the ledger has its files open")
    before = process.num_fds() if hasattr(process, "num_fds") else 0
    with ExitStack() as stack:
        clients = [stack.enter_context(raw_socket(proxy)) for _ in range(200)]
        assert upstream.open_connections == 200
        assert proxy.services.observers.running == 0  # idle, they are not what the icon calls working
        for number, client in enumerate(clients):
            client.send(bytes.fromhex("818200000000") + b"%02d" % (number % 100))
        for number, client in enumerate(clients):
            assert client.read_exactly(4) == b"\x81\x02%02d" % (number % 100)

    wait_for(lambda: upstream.open_connections == 0, "the upstream's ends")
    wait_for(lambda: not before or process.num_fds() <= before, "the last descriptor to be closed")


def test_a_silent_socket_outlives_every_limit_of_http(
    start: Callable[..., RunningProxy], upstream: SocketUpstream
) -> None:
    short = Limits(head_s=0.1, body_s=0.1, reader_s=0.1, idle_s=0.1, look_every_s=0.02)
    with raw_socket(start(upstream.base_url, limits=short)) as client:
        client.socket.settimeout(0.6)
        with pytest.raises(TimeoutError):  # six times as long as anything may take
            client.socket.recv(1)
        client.socket.settimeout(5)
        client.send(bytes.fromhex("818200000000") + b"hi")

        assert client.read_exactly(4) == b"\x81\x02hi"


def raw_socket(proxy: RunningProxy) -> WireClient:
    """Open a WebSocket that costs the test no thread."""
    client = connect(proxy)
    client.send(client.request("GET", REALTIME, None, *HANDSHAKE))
    assert client.read_head().status == 101
    return client


@pytest.mark.core
def test_the_programs_end_tells_both_sides_that_it_goes_away_once_their_grace_is_over(
    start: Callable[..., RunningProxy], upstream: SocketUpstream
) -> None:
    proxy = start(upstream.base_url)
    with open_socket(proxy) as client, raw_socket(proxy) as halfway, ThreadPoolExecutor(1) as pool:
        halfway.send(HALF_A_FRAME)
        began = time.monotonic()
        stopping = pool.submit(proxy.server.stop)
        wait_for(lambda: not accepts(proxy), "the server to stop")
        client.send("one more")
        assert client.recv(timeout=5) == "one more"
        with pytest.raises(ConnectionClosedOK) as caught:
            client.recv(timeout=5)
        assert halfway.read_rest() == GOING_AWAY
        stopping.result()
        took_s = time.monotonic() - began

    assert took_s < 7
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    wait_for(lambda: len(upstream.closes) == 2, "the upstream's ends")
    assert sorted(upstream.closes) == [(1001, ""), (1006, "")]  # nothing was put into half a frame


def accepts(proxy: RunningProxy) -> bool:
    """Tell whether a connection can be opened."""
    try:
        socket.create_connection(("127.0.0.1", proxy.address.port)).close()
    except ConnectionError:
        return False
    return True


def test_a_change_of_settings_leaves_open_sockets_alone(
    start: Callable[..., RunningProxy], upstream: SocketUpstream
) -> None:
    proxy = start(upstream.base_url)
    with open_socket(proxy) as client:
        proxy.services.store.update(openai_timeout=7.0)
        with open_socket(proxy) as second:
            second.send("new")
            assert second.recv(timeout=5) == "new"
        client.send("old")

        assert client.recv(timeout=5) == "old"


def test_the_log_tells_of_the_beginning_and_the_end(
    proxy: RunningProxy, upstream: SocketUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with open_socket(proxy, additional_headers={"Authorization": "Bearer secret-of-the-caller"}) as client:
            client.send("hello")
            client.recv(timeout=5)
        wait_for(lambda: "101 closed" in caplog.text, "the log's line")

    assert "GET /realtime" in caplog.text
    assert "101 open" in caplog.text
    assert "secret-of-the-caller" not in caplog.text
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_client_that_leaves_with_an_error_is_no_error_in_the_log(
    proxy: RunningProxy, upstream: SocketUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client = raw_socket(proxy)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        wait_for(lambda: "101 closed" in caplog.text, "the log's line")

    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
