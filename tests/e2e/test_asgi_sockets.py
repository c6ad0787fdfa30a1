"""WebSockets behind ASGI servers that are not ours: they settle the handshake, and the proxy tunnels their messages."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

from fakes.asgi_server import AsgiServer, before, run_asgi
from fakes.opening import HANDSHAKE, KEY_PROTOCOL, REALTIME, open_socket, refusal_of
from fakes.realtime import SESSION, converse
from fakes.scripted_upstream import Answer, CloseBeforeHeaders, Html, Raw, Script, ScriptedUpstream, SilentBeforeHeaders
from fakes.shared_upstream import UPSTREAM_KEY
from fakes.socket_upstream import SocketUpstream
from sockets.any_tunnel import ThroughAnyTunnel
from waiting import wait_for

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the servers are stopped by their process group"),
    pytest.mark.timeout(120),
]

SERVERS = ["uvicorn", "hypercorn"]
PROXY_KEY = "proxy-key-0001"
ERROR = {"message": "scripted", "type": "t", "param": None, "code": "own"}


@pytest.fixture(scope="module")
def sockets() -> Iterator[SocketUpstream]:
    with SocketUpstream(subprotocols=["realtime", "other"]) as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, sockets: SocketUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AsgiServer]:
    home = tmp_path_factory.mktemp("home")
    with run_asgi(request.param, home, "--workers", "2", **before(sockets.base_url, OPENAI_TIMEOUT="2")) as running:
        yield running
        assert UPSTREAM_KEY not in running.printed
        assert "never retrieved" not in running.printed


@pytest.fixture
def upstream(sockets: SocketUpstream) -> SocketUpstream:
    """Return the provider, as new: the sockets of the test before have ended."""
    wait_for(lambda: not sockets.talking, "the end of the conversations before")
    sockets.forget()
    return sockets


@pytest.fixture
def proxy(server: AsgiServer) -> AsgiServer:
    return server


class TestThroughAsgiServers(ThroughAnyTunnel):
    """What holds under any server."""


# --- messages ---------------------------------------------------------------------------------------------------------

MESSAGES = {
    "text": "Grüße, 世界",
    "nothing": "",
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "10 MB of text": "wörd" * 2_000_000,
    "10 MB of bytes": os.urandom(10 * 2**20),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_message_goes_both_ways(
    server: AsgiServer, upstream: SocketUpstream, message: str | bytes, compression: str | None
) -> None:
    with open_socket(server, compression=compression) as client:
        client.send(message)

        assert client.recv(timeout=20) == message
    assert upstream.header("Sec-WebSocket-Extensions") == []  # each side agrees for itself


def test_a_large_message_of_the_upstream_arrives(server: AsgiServer, upstream: SocketUpstream) -> None:
    large = os.urandom(40 * 2**20)

    async def pour(connection: ServerConnection) -> None:
        await connection.send(large)

    upstream.talk = pour
    with open_socket(server, compression=None) as client:
        assert client.recv(timeout=20) == large


def test_a_message_in_fragments_arrives_whole(server: AsgiServer, upstream: SocketUpstream) -> None:
    async def in_pieces(connection: ServerConnection) -> None:
        await connection.send(["Grü", "ße, ", "Welt"])
        await connection.send([b"a", b"", b"b"])
        async for message in connection:
            await connection.send(message)

    upstream.talk = in_pieces
    with open_socket(server) as client:
        assert [client.recv(timeout=5), client.recv(timeout=5)] == ["Grüße, Welt", b"ab"]
        client.send(iter(["one", "two"]))
        assert client.recv(timeout=5) == "onetwo"


def test_pings_are_answered_on_both_sides(server: AsgiServer, upstream: SocketUpstream) -> None:
    answered = threading.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping(b"from the upstream"))
        answered.set()
        await connection.wait_closed()

    upstream.talk = ping
    with open_socket(server) as client:
        assert client.ping(b"from the client").wait(5)
        assert answered.wait(5)


def test_a_socket_outlives_the_time_limit_for_answers(server: AsgiServer, upstream: SocketUpstream) -> None:
    with open_socket(server) as client:
        with suppress(TimeoutError):
            client.recv(timeout=3)  # nothing comes, for longer than the limit
        client.send("still here")

        assert client.recv(timeout=5) == "still here"


@pytest.mark.core
def test_the_sdks_realtime_client_converses(server: AsgiServer, upstream: SocketUpstream) -> None:
    upstream.talk = converse
    item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Grüße"}]}
    with (
        openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as sdk,
        sdk.realtime.connect(model="gpt-realtime", websocket_connection_options={"proxy": None}) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session=SESSION)
        connection.conversation.item.create(item=item)
        connection.response.create()
        events = [connection.recv()]
        while events[-1].type != "response.done":
            events.append(connection.recv())

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "You said Grüße"


# --- the handshake ----------------------------------------------------------------------------------------------------


def test_path_query_headers_and_key_reach_the_upstream(server: AsgiServer, upstream: SocketUpstream) -> None:
    given = {"OpenAI-Beta": "realtime=v1", "Authorization": "Bearer something", "Cookie": "a=b"}
    with open_socket(server, "/v1/realtime/calls%2Fx?model=a+b&intent=%E4", additional_headers=given):
        pass

    assert upstream.handshakes[-1].path == "/v1/realtime/calls%2Fx?model=a+b&intent=%E4"
    assert upstream.header("OpenAI-Beta") == ["realtime=v1"]
    assert upstream.header("Authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert upstream.header("Cookie") == []


@pytest.mark.parametrize(
    ("offered", "seen", "chosen"),
    [
        (["other", "realtime"], ["other, realtime"], "realtime"),
        (["realtime", f"{KEY_PROTOCOL}sk-any"], ["realtime"], "realtime"),
        ([], [], None),
    ],
)
def test_sub_protocols_are_agreed_on_end_to_end_and_no_key_is_among_them(
    server: AsgiServer, upstream: SocketUpstream, offered: Any, seen: list[str], chosen: str | None
) -> None:
    with open_socket(server, subprotocols=offered or None) as client:
        assert client.subprotocol == chosen
    assert upstream.header("Sec-WebSocket-Protocol") == seen


def test_a_foreign_page_and_a_foreign_host_open_none(server: AsgiServer, upstream: SocketUpstream) -> None:
    status, error = refusal_of(server, origin="https://evil.example")
    assert (status, error["code"]) == (403, "origin_not_allowed")
    with server.connect() as client:
        reply = client.ask("GET", REALTIME, None, "Host: evil.example", *HANDSHAKE)
    assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")
    with open_socket(server, origin="http://localhost:3000"):
        pass

    assert len(upstream.handshakes) == 1


@pytest.mark.parametrize(("path", "status"), [("/elsewhere", 404), ("/ui", 404), ("/v1/../realtime", 404)])
def test_outside_the_api_there_is_none(server: AsgiServer, upstream: SocketUpstream, path: str, status: int) -> None:
    assert refusal_of(server, path)[0] == status
    assert upstream.handshakes == []


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_a_refusal_of_the_upstream_arrives_as_it_is(server: AsgiServer, upstream: SocketUpstream, status: int) -> None:
    upstream.refuse(status, json.dumps({"error": ERROR}).encode())

    assert refusal_of(server) == (status, ERROR)


def test_a_refusal_of_the_key_is_explained_and_the_key_hidden(server: AsgiServer, upstream: SocketUpstream) -> None:
    upstream.refuse(401, json.dumps({"error": {**ERROR, "message": f"bad key {UPSTREAM_KEY}"}}).encode())
    status, error = refusal_of(server)

    assert (status, error["code"]) == (401, "upstream_invalid_api_key")
    assert UPSTREAM_KEY not in error["message"]


EVERY_UPGRADE = "HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
INSTEAD: dict[str, tuple[Answer, tuple[int, str]]] = {
    "nothing": (SilentBeforeHeaders(), (504, "upstream_timeout")),
    "an end": (CloseBeforeHeaders(), (502, "upstream_protocol_error")),
    "a page": (Html(status=502), (502, "upstream_status_502")),
    "101 without its proof": (Script([Raw(f"{EVERY_UPGRADE}\r\n".encode())]), (502, "upstream_protocol_error")),
    "101 with another's proof": (
        Script([Raw(f"{EVERY_UPGRADE}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n".encode())]),
        (502, "upstream_protocol_error"),
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_an_upstream_that_does_not_shake_hands_is_an_error_of_the_api(tmp_path: Path, name: str) -> None:
    with ScriptedUpstream() as scripted, run_asgi(name, tmp_path, **before(scripted, OPENAI_TIMEOUT="0.5")) as server:
        for answer, expected in INSTEAD.values():
            scripted.answer(answer)
            status, error = refusal_of(server)

            assert (status, error["code"]) == expected


@pytest.mark.parametrize("name", SERVERS)
def test_a_proxy_key_is_asked_for(tmp_path: Path, upstream: SocketUpstream, name: str) -> None:
    variables = before(upstream.base_url, PROXY_REQUIRE_API_KEY="true", PROXY_API_KEYS=PROXY_KEY)
    with run_asgi(name, tmp_path, **variables) as server:
        assert refusal_of(server)[1]["code"] == "missing_proxy_key"
        assert refusal_of(server, additional_headers={"Authorization": "Bearer wrong"})[0] == 401
        assert upstream.handshakes == []
        with open_socket(server, additional_headers={"Authorization": f"Bearer {PROXY_KEY}"}):
            pass
        with open_socket(server, subprotocols=["realtime", f"{KEY_PROTOCOL}{PROXY_KEY}"]):  # type: ignore[list-item]
            pass

    assert PROXY_KEY not in str([handshake.headers for handshake in upstream.handshakes])


# --- the end ----------------------------------------------------------------------------------------------------------

CODES = [(1000, "done"), (1008, ""), (4000, "Grüße"), (4999, "x" * 123)]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_clients_close_code_reaches_the_upstream(
    server: AsgiServer, upstream: SocketUpstream, code: int, reason: str
) -> None:
    with open_socket(server) as client:
        client.close(code, reason)

    wait_for(lambda: upstream.closes, "the upstream's end", limit_s=2)
    # hypercorn does not hand the client's code over, it calls every end abnormal
    assert upstream.closes == [(code, reason) if server.name == "uvicorn" else (1001, "")]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_the_upstreams_close_code_reaches_the_client(
    server: AsgiServer, upstream: SocketUpstream, code: int, reason: str
) -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    upstream.talk = leave
    with open_socket(server) as client:
        assert client.recv(timeout=5) == "last words"
        with pytest.raises(ConnectionClosedOK if code == 1000 else ConnectionClosedError) as caught:
            client.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)
    wait_for(lambda: upstream.closes, "the upstream's end", limit_s=2)
    assert upstream.closes == [(code, reason)]


@pytest.mark.core
def test_an_upstream_that_breaks_off_ends_the_client_at_once_and_never_properly(
    server: AsgiServer, upstream: SocketUpstream
) -> None:
    with open_socket(server) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        began = time.monotonic()
        upstream.abort_all()
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1014  # a bad gateway: no server can break a WebSocket off for its application
    assert time.monotonic() - began < 2


BAD_FRAMES = {
    "text that is not UTF-8": b"\x81\x02\xff\xfe",
    "a masked frame": b"\x81\x82\x00\x00\x00\x00hi",
    "an opcode nobody knows": b"\x83\x00",
    "a message larger than 64 MB": b"\x82\x7f" + (2**27).to_bytes(8, "big") + b"x" * 10_000,
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_what_is_no_message_ends_both_sides(server: AsgiServer, upstream: SocketUpstream, frame: bytes) -> None:
    async def send_bad_frame(connection: ServerConnection) -> None:
        await connection.send("good")
        connection.transport.write(frame)
        await connection.wait_closed()

    upstream.talk = send_bad_frame
    with open_socket(server) as client:
        assert client.recv(timeout=5) == "good"
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv(timeout=5)

    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1014
    wait_for(lambda: upstream.closes, "the upstream's end", limit_s=5)


@pytest.mark.core
def test_a_client_that_breaks_off_ends_the_upstream_at_once(server: AsgiServer, upstream: SocketUpstream) -> None:
    with server.connect() as client:
        client.send(client.request("GET", REALTIME, None, *HANDSHAKE))
        assert client.read_head().status == 101

    wait_for(lambda: upstream.closes, "the upstream's end", limit_s=2)
    assert upstream.closes[0][0] != 1000


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_leaves_before_the_upstream_has_answered_ends_the_asking(tmp_path: Path, name: str) -> None:
    with ScriptedUpstream() as scripted, run_asgi(name, tmp_path, **before(scripted)) as server:
        scripted.answer(SilentBeforeHeaders())
        with server.connect() as client:
            client.send(client.request("GET", REALTIME, None, *HANDSHAKE))
            scripted.wait_for_requests(1)
            left_at = time.monotonic()

        assert scripted.wait_for_hangup() - left_at < 2


def test_a_servers_stop_ends_both_sides(tmp_path: Path, upstream: SocketUpstream) -> None:
    # hypercorn, from Python 3.12 on, does not stop before its clients have left
    with run_asgi("uvicorn", tmp_path, **before(upstream.base_url)) as server, open_socket(server) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=8)
        wait_for(lambda: upstream.closes, "the upstream's end")
        server.process.wait(15)
        assert "Traceback" not in server.printed


def test_fifty_sockets_hold_no_thread_and_leave_nothing_behind(server: AsgiServer, upstream: SocketUpstream) -> None:
    with open_socket(server):
        pass
    wait_for(lambda: upstream.open_connections == 0, "the first socket's end")
    threads_before = sum(worker.num_threads() for worker in server.workers())
    files_before = sum(worker.num_fds() for worker in server.workers())
    with ExitStack() as stack:
        clients = [stack.enter_context(open_socket(server)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(str(number))
        assert [client.recv(timeout=5) for client in clients] == [str(number) for number in range(50)]
        assert sum(worker.num_threads() for worker in server.workers()) <= threads_before + 1

    wait_for(lambda: upstream.open_connections == 0, "the upstream's ends")
    wait_for(lambda: sum(worker.num_fds() for worker in server.workers()) <= files_before + 1, "the last descriptors")
