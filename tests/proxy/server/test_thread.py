"""The server's thread: start, move, stop, each done twice, and nothing left behind."""

import asyncio
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from fakes.wire_client import WireClient
from proxy.errors.configuration import ConfigurationError, PortTaken
from proxy.server.client import DownstreamClient
from proxy.server.limits import Limits
from proxy.server.thread import Address, ServerThread
from waiting import wait_for

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="not every system has 127.0.0.2")

WAIT_S = 5.0
PIECE = b"x" * 65536


class Application:
    """A small application: `/` greets, `/large` is large, `/stream` goes on until `go_on`, `/flood` for ever."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def known(self, key: Any) -> None:
        """Know nothing of any head."""

    def serve(self, client: DownstreamClient) -> Coroutine[Any, Any, None] | None:
        if client.head.path == b"/":
            client.answer(200, [("content-length", "5")], b"hello")
            return None
        return self.stream(client)

    async def stream(self, client: DownstreamClient) -> None:
        path, last = client.head.path, b""
        await client.start(200, [])
        try:
            if path == b"/stream":
                await client.write(b"begun")
                while not self.go_on.is_set():  # noqa: ASYNC110  it is set by another thread
                    await asyncio.sleep(0.01)
                last = b"ended"
            if path == b"/large":
                last = PIECE * 256
            while path == b"/flood":
                await client.write(PIECE)
            await client.write(last)
            await client.finish()
        except asyncio.CancelledError:
            client.abort()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application: Application) -> Iterator[ServerThread]:
    thread = ServerThread(application)
    yield thread
    thread.stop()


def greeting(port: int, host: str = "127.0.0.1") -> bytes:
    with WireClient(port, host) as client:
        return client.ask("GET", "/").body


def is_refused(port: int, host: str = "127.0.0.1") -> bool:
    try:
        with socket.create_connection((host, port), timeout=WAIT_S):
            return False
    except ConnectionRefusedError:
        return True


class StopOnClose:
    def __init__(self, server: ServerThread) -> None:
        self.close = server.stop


def server_connections(port: int) -> list[Any]:
    """Return the sockets of this process that are the server's end of something."""
    connections = psutil.Process().net_connections("tcp")
    return [connection for connection in connections if connection.laddr and connection.laddr[1] == port]


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this computer has no IPv6")


@pytest.mark.core
def test_port_0_takes_a_free_one_and_says_which(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)

    assert address.port > 0
    assert address.base_url == f"http://127.0.0.1:{address.port}/v1"
    assert greeting(address.port) == b"hello"


def test_a_second_start_returns_where_it_serves(server: ServerThread) -> None:
    first = server.start("127.0.0.1", 0)

    assert server.start("127.0.0.1", 0) == first
    assert [thread.name for thread in threading.enumerate()].count("proxy-server") == 1


def test_a_second_stop_does_nothing(server: ServerThread) -> None:
    server.start("127.0.0.1", 0)
    server.stop()
    server.stop()

    assert server.address is None


def test_a_stop_before_any_start_does_nothing(server: ServerThread) -> None:
    server.stop()

    assert server.address is None


@pytest.mark.core
def test_it_can_be_started_again_on_the_same_port(server: ServerThread) -> None:
    first = server.start("127.0.0.1", 0)
    assert greeting(first.port) == b"hello"
    server.stop()

    assert server.start("127.0.0.1", first.port) == first
    assert greeting(first.port) == b"hello"


def test_the_thread_has_a_name(server: ServerThread) -> None:
    server.start("127.0.0.1", 0)

    assert "proxy-server" in {thread.name for thread in threading.enumerate()}


@pytest.mark.core
def test_a_taken_port_is_refused(server: ServerThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} is taken"):
            server.start("127.0.0.1", port)

    assert server.address is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the administrator may know who listens")
def test_the_refusal_of_a_taken_port_names_who_holds_it(server: ServerThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken) as refusal:
        server.start("127.0.0.1", other.getsockname()[1])

    assert f"{psutil.Process().name()} (process {os.getpid()})" in refusal.value.message


def test_after_a_refused_start_it_starts_elsewhere(server: ServerThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken):
        server.start("127.0.0.1", other.getsockname()[1])

    assert greeting(server.start("127.0.0.1", 0).port) == b"hello"


@needs_ipv6
def test_the_same_port_of_ipv6_is_served_too(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)

    assert greeting(address.port, "::1") == b"hello"


@needs_ipv6
def test_somebody_elses_port_of_ipv6_does_not_prevent_the_start(server: ServerThread) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]

        assert greeting(server.start("127.0.0.1", port).port) == b"hello"


@needs_ipv6
def test_an_address_of_ipv6_stands_in_brackets_in_its_url(server: ServerThread) -> None:
    address = server.start("::1", 0)

    assert address.base_url == f"http://[::1]:{address.port}/v1"
    assert greeting(address.port, "::1") == b"hello"


def test_a_move_serves_at_the_new_port_and_no_longer_at_the_old(server: ServerThread) -> None:
    old = server.start("127.0.0.1", 0)
    new = server.move("127.0.0.1", 0)

    assert new.port != old.port
    assert server.address == new
    assert greeting(new.port) == b"hello"
    wait_for(lambda: is_refused(old.port), "the old address refuses")


@pytest.mark.core
def test_a_stream_that_runs_during_a_move_ends_properly_on_its_old_connection(
    server: ServerThread, application: Application
) -> None:
    old = server.start("127.0.0.1", 0)
    with WireClient(old.port) as client:
        client.send(client.request("GET", "/stream")).read_head()
        assert client.read_chunk() == b"begun"
        new = server.move("127.0.0.1", 0)
        assert greeting(new.port) == b"hello"
        wait_for(lambda: is_refused(old.port), "the old address refuses")
        application.go_on.set()

        assert client.read_chunk() == b"ended"
        assert client.read_chunk() == b""


def test_a_move_to_a_taken_port_changes_nothing(server: ServerThread) -> None:
    old = server.start("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken):
        server.move("127.0.0.1", other.getsockname()[1])

    assert server.address == old
    assert greeting(old.port) == b"hello"


def test_a_move_to_where_it_serves_does_nothing(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.ask("GET", "/")

        assert server.move("127.0.0.1", address.port) == address
        assert client.ask("GET", "/").body == b"hello"


@on_linux
@pytest.mark.core
def test_a_move_to_every_address_of_the_same_port_and_back(server: ServerThread, application: Application) -> None:
    old = server.start("127.0.0.1", 0)
    with WireClient(old.port) as client:
        client.send(client.request("GET", "/stream")).read_head()
        assert client.read_chunk() == b"begun"

        for host in ("0.0.0.0", "127.0.0.1"):
            assert server.move(host, old.port) == server.address == Address(host, old.port)
            assert greeting(old.port) == b"hello"
            assert is_refused(old.port, "127.0.0.2") is (host == "127.0.0.1")

        application.go_on.set()
        assert client.read_chunk() == b"ended"
        assert client.read_chunk() == b""


@on_linux
def test_a_move_to_an_address_that_somebody_else_has_at_the_same_port_changes_nothing(server: ServerThread) -> None:
    old = server.start("127.0.0.1", 0)
    with socket.create_server(("127.0.0.2", old.port)), pytest.raises(PortTaken):
        server.move("0.0.0.0", old.port)

    assert server.address == old
    assert greeting(old.port) == b"hello"


def test_a_move_to_an_address_this_computer_does_not_have_changes_nothing(server: ServerThread) -> None:
    old = server.start("127.0.0.1", 0)
    with pytest.raises(ConfigurationError, match="it cannot listen on 192"):
        server.move("192.0.2.1", old.port)

    assert server.address == old
    assert greeting(old.port) == b"hello"


def test_nothing_is_left_of_the_addresses_it_moved_away_from(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    ports = [server.start("127.0.0.1", 0).port]
    for _ in range(3):
        ports.append(server.move("127.0.0.1", 0).port)
        wait_for(lambda: server_connections(ports[-2]) == [], "nothing listens at the old address")
    server.stop()

    gc.collect()
    assert "Task was destroyed" not in caplog.text


def test_a_move_before_any_start_starts(server: ServerThread) -> None:
    assert greeting(server.move("127.0.0.1", 0).port) == b"hello"


@pytest.mark.core
def test_a_stop_lets_a_running_answer_end(server: ServerThread, application: Application) -> None:
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.send(client.request("GET", "/stream")).read_head()
        assert client.read_chunk() == b"begun"
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        wait_for(lambda: is_refused(address.port), "the old address refuses")
        application.go_on.set()

        assert client.read_chunk() == b"ended"
        assert client.read_chunk() == b""
        stopping.join(WAIT_S)
        assert not stopping.is_alive()


def test_a_stop_cuts_an_endless_stream_after_its_grace_of_3_seconds(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.send(client.request("GET", "/stream")).read_head()
        assert client.read_chunk() == b"begun"
        began = time.monotonic()
        server.stop()

        assert 3 <= time.monotonic() - began < 10
        assert client.read_rest() == b""


def test_an_idle_connection_is_closed_by_a_stop(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.ask("GET", "/")
        began = time.monotonic()
        server.stop()

        assert client.read_rest() == b""
        assert time.monotonic() - began < 2


def test_a_client_in_the_middle_of_its_request_cannot_hold_up_a_stop(server: ServerThread) -> None:
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.ask("GET", "/")
        client.send(b"GET / HTTP/1.1\r\nHost: half")
        began = time.monotonic()
        server.stop()

        assert time.monotonic() - began < 2


@pytest.mark.core
def test_nothing_is_left_after_a_stop(server: ServerThread) -> None:
    server.start("127.0.0.1", 0)
    server.stop()  # the event loop keeps two descriptors from its first use on
    threads, files = set(threading.enumerate()), open_files()
    address = server.start("127.0.0.1", 0)
    with WireClient(address.port) as client:
        client.ask("GET", "/")
        address = server.move("127.0.0.1", 0)
        greeting(address.port)
        server.stop()

    assert set(threading.enumerate()) == threads
    assert server_connections(address.port) == []
    assert open_files() == files


def open_files() -> int:
    """Return how many descriptors this process holds; not told on Windows, where handles come and go by themselves."""
    return psutil.Process().num_fds() if sys.platform != "win32" else 0


def test_the_lifespan_spans_the_serving() -> None:
    seen: list[str] = []

    class Lifespan:
        async def __aenter__(self) -> None:
            seen.append("begun")

        async def __aexit__(self, *_: object) -> None:
            seen.append("ended")

    server = ServerThread(Application(), Lifespan)
    with closing(StopOnClose(server)):
        server.start("127.0.0.1", 0)
        assert seen == ["begun"]

    assert seen == ["begun", "ended"]


def test_readers_who_take_nothing_cannot_hold_up_a_stop(application: Application) -> None:
    server = ServerThread(application, limits=Limits(grace_s=0.3))
    address = server.start("127.0.0.1", 0)
    with (
        WireClient(address.port, receive_buffer_bytes=4096) as of_a_stream,
        WireClient(address.port, receive_buffer_bytes=4096) as of_an_answer_that_is_done,
    ):
        of_a_stream.send(of_a_stream.request("GET", "/flood")).read_head()
        of_an_answer_that_is_done.send(of_an_answer_that_is_done.request("GET", "/large")).read_head()
        began = time.monotonic()
        server.stop()

        assert time.monotonic() - began < 10
        assert server_connections(address.port) == []
