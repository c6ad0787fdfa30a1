"""A connection with several requests on it: their order, who else is served meanwhile, and what ends them."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from fakes.wire_client import WireClient
from proxy.server.client import DownstreamClient
from proxy.server.limits import Limits
from proxy.server.thread import ServerThread
from waiting import wait_for

WAIT_S = 5.0
GRACE_S = 0.2  # for what never ends
MANY = 2_000


class Application:
    """`/wait` waits until it is cancelled, `/echo` gives X-Echo back, `/odd` and `/wide` have odd headers."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.waiting = threading.Event()
        self.cancelled = threading.Event()

    def known(self, key: Any) -> None:
        """Know nothing of any head."""

    def serve(self, client: DownstreamClient) -> Coroutine[Any, Any, None] | None:
        path = client.head.path.decode()
        self.served.append(path)
        if path == "/wait":
            return self.wait(client)
        echoed = dict(client.head.headers).get(b"x-echo", b"").decode("latin-1")
        odd = {"/odd": "a\r\nset-cookie: b", "/wide": "\u20ac5"}.get(path, echoed)
        try:
            client.answer(200, [("x-echo", odd), ("content-length", "2")], b"ok")
        except ValueError:
            client.fail()
        return None

    async def wait(self, client: DownstreamClient) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            client.stop()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application: Application) -> Iterator[ServerThread]:
    thread = ServerThread(application, limits=Limits(grace_s=GRACE_S))
    thread.start("127.0.0.1", 0)
    yield thread
    thread.stop()


@pytest.fixture
def client(server: ServerThread) -> Iterator[WireClient]:
    with connect(server) as connection:
        yield connection


def connect(server: ServerThread) -> WireClient:
    assert server.address is not None
    return WireClient(server.address.port)


@pytest.mark.core
def test_many_requests_in_one_packet_hold_up_nobody_else(
    server: ServerThread, application: Application, client: WireClient
) -> None:
    with connect(server) as other:
        other.ask("GET", "/other")
        client.send(client.request("GET", "/many") * MANY)
        wait_for(lambda: "/many" in application.served, "the first of many is served")
        other.ask("GET", "/other")
        assert application.served[-1] == "/other" or application.served.index("/other", 1) < MANY
        for _ in range(MANY):
            assert client.read_reply().body == b"ok"


def test_requests_behind_one_that_waits_are_not_begun(application: Application, client: WireClient) -> None:
    client.send(client.request("GET", "/wait") + client.request("GET", "/behind") * 3)
    assert application.waiting.wait(WAIT_S)

    assert application.served == ["/wait"]


@pytest.mark.core
@pytest.mark.parametrize("behind", [0, 1, 5, 50])
def test_who_leaves_with_requests_under_way_ends_them_all(
    server: ServerThread, application: Application, behind: int
) -> None:
    with connect(server) as client:
        client.send(client.request("GET", "/wait") + client.request("GET", "/behind") * behind)
        assert application.waiting.wait(WAIT_S)
    if behind < 8:  # with more of them nothing is read, the end neither
        assert application.cancelled.wait(WAIT_S)
    assert application.served == ["/wait"]


@pytest.mark.parametrize("behind", [0, 1, 50])
def test_a_stop_answers_who_waits_and_serves_nobody_behind(
    server: ServerThread, application: Application, client: WireClient, behind: int
) -> None:
    client.send(client.request("GET", "/wait") + client.request("GET", "/behind") * behind)
    assert application.waiting.wait(WAIT_S)
    server.stop()

    reply = client.read_reply()
    assert (reply.status, reply.error["code"], reply.header("connection")) == (503, "proxy_stopped", "close")
    assert client.read_rest() == b""
    assert application.served == ["/wait"]


@pytest.mark.core
@pytest.mark.parametrize("value", [b"plain", b"Caf\xc3\xa9", b"Caf\xe9", b"\x80\xff", b"a\tb"])
def test_a_header_is_the_same_bytes_both_ways(client: WireClient, value: bytes) -> None:
    client.send(b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Echo: " + value + b"\r\n\r\n")
    reply = client.read_reply()

    assert str(reply.header("x-echo")).encode("latin-1") == value


def test_what_is_beyond_latin_1_goes_out_as_utf_8(client: WireClient) -> None:
    assert str(client.ask("GET", "/wide").header("x-echo")).encode("latin-1") == "\u20ac5".encode()


def test_a_header_that_would_pass_for_two_is_never_sent(client: WireClient) -> None:
    reply = client.ask("GET", "/odd")

    assert (reply.status, reply.header("set-cookie"), reply.error["code"]) == (500, None, "server_error")
    assert client.ask("GET", "/echo").body == b"ok"


def test_a_client_over_http_1_0_is_not_told_to_continue(client: WireClient) -> None:
    head = client.request("POST", "/echo", None, "Expect: 100-continue", "Content-Length: 2", version="HTTP/1.0")

    assert client.send(head).read_reply().status == 200


def test_every_connection_is_served_after_hundreds_came_and_left(server: ServerThread) -> None:
    for _ in range(300):
        with connect(server) as client:
            client.send(client.request("GET", "/echo")[:10])
    with connect(server) as client:
        assert client.ask("GET", "/echo").body == b"ok"
