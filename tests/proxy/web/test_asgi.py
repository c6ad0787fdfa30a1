"""The ASGI application, called as the specification says: by scope, receive and send, whatever a server leaves out."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.asking import CHAT, FILES, MODELS
from fakes.memory_keychain import MemoryKeychain
from fakes.scripted_upstream import Json, ScriptedUpstream, SilentBeforeHeaders, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY
from fakes.socket_upstream import SocketUpstream
from proxy.errors.configuration import SettingError
from proxy.services import Services, assemble
from proxy.web.asgi import AnswerCut, AsgiApp, head_of, serve
from proxy.web.asgi_body import WAITING_BYTES, AsgiBody
from proxy.web.asgi_client import AsgiClient, Outbox
from waiting import wait_for

BODY = b'{"model":"m", "messages":[]}'
LIMIT_S = 10
HOST = (b"host", b"127.0.0.1")
HANDSHAKE = [HOST, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]

Message = dict[str, Any]


class Server:
    """An ASGI server's side of one scope: what it hands over, and what it is sent."""

    def __init__(self, *given: Message, refuses: Callable[[Message], bool] = lambda _: False) -> None:
        self.sent: list[Message] = []
        self.received = 0
        self._given = list(given)
        self._more = asyncio.Event()
        self._changed = asyncio.Event()
        self._refuses = refuses

    async def receive(self) -> Message:
        while not self._given:
            self._more.clear()
            await self._more.wait()
        self.received += 1
        return self._given.pop(0)

    async def send(self, message: Message) -> None:
        if self._refuses(message):
            raise OSError("the client has left")
        self.sent.append(message)
        self._changed.set()

    def give(self, message: Message) -> None:
        self._given.append(message)
        self._more.set()

    async def sends(self, kind: str, count: int = 1) -> None:
        """Wait until it was sent so many messages of a kind."""
        while [message["type"] for message in self.sent].count(kind) < count:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), LIMIT_S)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


def head(method: str = "POST", path: str = CHAT, /, **others: Any) -> Message:
    """Return a scope with nothing in it that may be left out."""
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"}
    length = [(b"content-length", b"%d" % len(BODY))] if method == "POST" else []
    return {**scope, "method": method, "path": path, "query_string": b"", "headers": [HOST, *length], **others}


def body(data: bytes = BODY, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


@pytest.fixture
def assembled(provider: ScriptedUpstream, tmp_path: Path) -> Callable[[], Services]:
    settings = {"openai_base_url": provider.base_url, "openai_api_key": UPSTREAM_KEY}
    return lambda: assemble(settings, tmp_path / "settings.toml", MemoryKeychain)


@pytest.fixture
def call(assembled: Callable[[], Services]) -> Callable[..., Server]:
    """Return a function that calls an application once and returns what its server was sent."""

    def run(scope: Message, *given: Message, meanwhile: Callable[[Server], Awaitable[None]] | None = None) -> Server:
        async def once() -> Server:
            app, server = AsgiApp(assembled), Server(*given)
            calling = asyncio.create_task(app(scope, server.receive, server.send))
            if meanwhile is not None:
                await meanwhile(server)
            await asyncio.wait_for(calling, LIMIT_S)
            await app.stop()
            return server

        return asyncio.run(once())

    return run


# --- scopes -----------------------------------------------------------------------------------------------------------


def test_what_a_server_may_leave_out_is_not_missed(call: Callable[..., Server], upstream: Any) -> None:
    server = call(head(), body())

    assert (server.status, server.is_complete) == (200, True)
    assert json.loads(server.body)["choices"][0]["message"]["content"] == "Hello"
    assert upstream.request.body == BODY


@pytest.mark.parametrize(
    "others",
    [
        {"server": None, "client": None, "scheme": "http", "root_path": ""},
        {"server": ("/run/proxy.sock", None)},
        {"server": ("/run/proxy.sock", None), "scheme": "https", "headers": [[b"Host", b"127.0.0.1:443"]]},
        {"server": ("127.0.0.1", 8000), "headers": [[b"HOST", b"localhost:8000"]]},
        {"path": "/ai/v1/models", "root_path": "/ai"},
        {"path": "/ai/v1/models", "raw_path": b"/ai/v1/models", "root_path": "/ai"},
        {"raw_path": b"/v1/models", "root_path": "/ai"},
    ],
)
def test_a_scope_in_every_form_is_understood(call: Callable[..., Server], upstream: Any, others: Message) -> None:
    upstream.answer(Json({"object": "list", "data": []}))

    assert call(head("GET", MODELS, **others), body(b"")).status == 200
    assert upstream.request.target == MODELS


@pytest.mark.parametrize(
    "others",
    [
        {"headers": [(b"host", b"evil.example")]},
        {"headers": []},
        {"headers": [(b"host", b"192.168.1.5")]},
        {"server": ("/run/proxy.sock", None), "headers": [(b"host", b"localhost.evil.example")]},
        {"headers": [HOST, HOST]},
    ],
)
def test_a_foreign_host_is_refused(call: Callable[..., Server], upstream: Any, others: Message) -> None:
    assert call(head("GET", MODELS, **others), body(b"")).status in (400, 403)
    assert upstream.requests == []


def test_a_path_without_its_encoded_form_is_encoded(call: Callable[..., Server], upstream: Any) -> None:
    call(head("GET", "/v1/files/Grüße 1"), body(b""))

    assert upstream.request.target == "/v1/files/Gr%C3%BC%C3%9Fe%201"


def test_a_scope_nobody_knows_is_no_request(assembled: Callable[[], Services]) -> None:
    server = Server()
    with pytest.raises(NotImplementedError, match="webtransport"):
        asyncio.run(AsgiApp(assembled)({"type": "webtransport"}, server.receive, server.send))


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seen"),
    [((body(b""),), None), ((body(b"ab", more=True), body(b"", more=True), body(b"c")), "chunked")],
    ids=["none", "some"],
)
def test_in_http_2_only_what_arrives_tells_whether_there_is_a_body(
    call: Callable[..., Server], upstream: Any, given: tuple[Message, ...], seen: str | None
) -> None:
    server = call(head("POST", FILES, http_version="2", headers=[HOST]), *given)

    assert server.status == 200
    assert upstream.request.header("Transfer-Encoding") == seen
    assert upstream.request.body == (b"abc" if seen else b"")


@pytest.mark.parametrize("header", [(b"transfer-encoding", b"gzip, chunked"), (b"content-length", b"1, 1")])
def test_a_body_whose_framing_cannot_be_trusted_is_refused(
    call: Callable[..., Server], upstream: Any, header: tuple[bytes, bytes]
) -> None:
    server = call(head(headers=[HOST, header]), body())

    assert (server.status, json.loads(server.body)["error"]["code"]) == (400, "malformed_request")
    assert upstream.requests == []


def test_who_asks_whether_to_send_a_body_is_refused_without_it(call: Callable[..., Server], upstream: Any) -> None:
    asks = [(b"host", b"evil.example"), (b"expect", b"100-continue"), (b"content-length", b"9999")]
    server = call(head(headers=asks), body())

    assert (server.status, server.received) == (403, 0)


def test_who_asks_whether_to_send_a_body_is_let_to(call: Callable[..., Server], upstream: Any) -> None:
    asks = [HOST, (b"expect", b"100-continue"), (b"content-length", b"%d" % len(BODY))]

    assert call(head(headers=asks), body()).status == 200


def test_no_more_of_a_body_is_taken_than_may_wait() -> None:
    async def follow() -> int:
        waiting = AsgiBody(head_of(head("POST", FILES, headers=[HOST, (b"transfer-encoding", b"chunked")])))
        server = Server(*(body(bytes(10_000), more=True) for _ in range(100)))
        following = asyncio.create_task(waiting.follow(server.receive))
        await asyncio.sleep(0.1)
        taken = server.received
        pieces = waiting.pieces(10**9)
        await anext(pieces)
        await asyncio.sleep(0.05)
        assert server.received == taken + 1
        following.cancel()
        return taken

    assert asyncio.run(follow()) == -(-WAITING_BYTES // 10_000)


# --- answers ----------------------------------------------------------------------------------------------------------


def do(work: Callable[[AsgiClient], Awaitable[None]], server: Server | None = None, method: str = "GET") -> Server:
    """Serve one request by this work."""

    async def once() -> Server:
        used = server or Server(body(b""))
        client, arriving = AsgiClient(Outbox(), head_of(head(method))), AsgiBody(head_of(head(method)))

        async def working() -> None:
            await work(client)

        await asyncio.wait_for(serve(working, arriving.follow(used.receive), client, used.send), LIMIT_S)
        return used

    return asyncio.run(once())


async def promise_more(client: AsgiClient) -> None:
    await client.start(200, [("content-length", "10")])
    await client.write(b"four")
    await client.finish()


async def break_off(client: AsgiClient) -> None:
    await client.start(200, [])
    await client.write(b"four")
    client.abort()


async def fail(client: AsgiClient) -> None:
    await client.start(200, [])
    await client.write(b"four")
    raise RuntimeError("our bug")


@pytest.mark.parametrize("work", [promise_more, break_off, fail])
def test_an_answer_that_breaks_off_is_cut_behind_what_was_sent(work: Callable[[AsgiClient], Awaitable[None]]) -> None:
    server = Server(body(b""))
    with pytest.raises(AnswerCut):
        do(work, server)

    assert (server.body, server.is_complete) == (b"four", False)


def test_no_more_is_sent_than_was_promised() -> None:
    async def send_more(client: AsgiClient) -> None:
        await client.start(200, [("Content-Length", "4"), ("Connection", "close")])
        await client.write(b"fourteen")
        await client.finish()

    server = do(send_more)

    assert (server.body, server.is_complete) == (b"four", True)
    assert server.sent[0]["headers"] == [(b"content-length", b"4")]  # the connection is the server's own


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_an_answer_that_may_have_no_body_has_none(method: str, status: int) -> None:
    async def answer(client: AsgiClient) -> None:
        await client.whole(status, [("content-length", "4")], b"four")

    server = do(answer, method=method)

    assert (server.body, server.is_complete) == (b"", True)
    assert server.sent[0]["headers"] == [(b"content-length", b"4")]


def test_a_bug_of_ours_before_the_answer_is_an_error_of_the_api() -> None:
    async def fail_at_once(client: AsgiClient) -> None:
        raise RuntimeError("our bug with sk-secret-in-a-bug")

    server = do(fail_at_once)

    assert (server.status, json.loads(server.body)["error"]["code"]) == (500, "server_error")
    assert b"sk-secret" not in server.body


def test_what_starts_and_writes_does_not_wait_in_between() -> None:
    async def write_two_at_once(client: AsgiClient) -> None:
        async def begin() -> None:
            await client.start(200, [])
            await client.write(b"first ")

        beginning = asyncio.create_task(begin())
        await asyncio.sleep(0)
        await client.write(b"second")
        await beginning
        await client.finish()

    assert do(write_two_at_once).body == b"first second"


def test_a_client_who_does_not_read_holds_the_work_up() -> None:
    written = 0

    async def write_much(client: AsgiClient) -> None:
        nonlocal written
        await client.start(200, [])
        while True:
            await client.write(bytes(10_000))
            written += 10_000

    class SlowServer(Server):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message["type"] == "http.response.body":
                await asyncio.sleep(0.05)
                self.give(GONE)
                await asyncio.Event().wait()  # for ever, as far as this client goes

    class ClosingServer(SlowServer):
        async def send(self, message: Message) -> None:
            try:
                await asyncio.wait_for(super().send(message), 0.2)
            except asyncio.TimeoutError as error:  # its connection has ended
                raise OSError from error

    do(write_much, ClosingServer(body(b"")))

    assert 0 < written <= WAITING_BYTES + 10_000


# --- leaving and stopping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["disconnect", "send"])
def test_a_client_who_leaves_takes_the_upstream_along(
    assembled: Callable[[], Services], upstream: Any, by: str
) -> None:
    upstream.answer(Sse(completion_chunks(*["word"] * 500), gap_s=0.02))

    async def leave() -> Server:
        app = AsgiApp(assembled)
        has_left = asyncio.Event()
        server = Server(body(), refuses=lambda _: has_left.is_set())
        calling = asyncio.create_task(app(head(), server.receive, server.send))
        await server.sends("http.response.body", 3)
        if by == "disconnect":
            server.give(GONE)
        else:
            has_left.set()
        await asyncio.wait_for(calling, LIMIT_S)
        await app.stop()
        return server

    assert not asyncio.run(leave()).is_complete
    upstream.wait_for_hangup()


async def stop_during(server: Server, assembled: Callable[[], Services], moment: Callable[[], Awaitable[Any]]) -> None:
    """Have a server stop in the middle of its request, at this moment."""
    app = AsgiApp(assembled)
    calling = asyncio.create_task(app(head(), server.receive, server.send))
    await moment()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await app.stop()


def test_who_waits_for_an_answer_is_told_that_the_server_stops(
    assembled: Callable[[], Services], upstream: Any
) -> None:
    upstream.answer(SilentBeforeHeaders())

    server = Server(body())
    asyncio.run(stop_during(server, assembled, lambda: asyncio.to_thread(upstream.wait_for_requests, 1)))

    assert (server.status, json.loads(server.body)["error"]["code"]) == (503, "proxy_stopped")
    upstream.wait_for_hangup()


def test_nothing_is_added_to_an_answer_of_which_nobody_knows_how_much_was_sent(
    assembled: Callable[[], Services], upstream: Any
) -> None:
    upstream.answer(Sse(completion_chunks(*["word"] * 500), gap_s=0.005))

    class StuckServer(Server):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if len(self.sent) == 3:
                await asyncio.Event().wait()

    server = StuckServer(body())
    asyncio.run(stop_during(server, assembled, lambda: server.sends("http.response.body", 2)))

    assert b"proxy_stopped" not in server.body
    assert not server.is_complete


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_it_starts_and_stops_with_its_server_and_again(assembled: Callable[[], Services], upstream: Any) -> None:
    async def live() -> list[str]:
        app, told = AsgiApp(assembled), []
        for _ in range(2):
            server, asking = Server({"type": "lifespan.startup"}), Server(body())
            living = asyncio.create_task(app({"type": "lifespan"}, server.receive, server.send))
            await server.sends("lifespan.startup.complete")
            assert "openai" in sys.modules  # the first request does not wait for it
            await app(head(), asking.receive, asking.send)
            assert asking.status == 200
            server.give({"type": "lifespan.shutdown"})
            await asyncio.wait_for(living, LIMIT_S)
            told += [message["type"] for message in server.sent]
        return told

    assert asyncio.run(live()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"] * 2
    upstream.provider.wait_for_open_connections(0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SettingError("PROXY_PORT is no port"), "A setting is wrong: PROXY_PORT is no port."),
        (RuntimeError("a bug"), "a bug"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_start_that_fails_says_why(error: Exception, said: str) -> None:
    def fail_to_assemble() -> Services:
        raise error

    server = Server({"type": "lifespan.startup"})
    asyncio.run(AsgiApp(fail_to_assemble)({"type": "lifespan"}, server.receive, server.send))

    assert server.sent == [{"type": "lifespan.startup.failed", "message": said}]


# --- WebSockets -------------------------------------------------------------------------------------------------------


def socket_scope(**others: Any) -> Message:
    scope = {"type": "websocket", "path": "/v1/realtime", "query_string": b"", "headers": HANDSHAKE}
    return {**scope, "scheme": "ws", **others}


CONNECT: Message = {"type": "websocket.connect"}
REFUSABLE = {"extensions": {"websocket.http.response": {}}}


def test_a_server_that_can_refuse_with_an_answer_is_given_one(call: Callable[..., Server], upstream: Any) -> None:
    server = call(socket_scope(**REFUSABLE, headers=[(b"host", b"evil.example")]), CONNECT)

    assert [message["type"] for message in server.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert (server.status, json.loads(server.body)["error"]["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("answer", [Json({"hello": "there"}), Sse(completion_chunks("a"))])
def test_a_server_that_cannot_is_told_to_close(call: Callable[..., Server], upstream: Any, answer: Any) -> None:
    upstream.answer(answer)

    assert call(socket_scope(), CONNECT).sent == [{"type": "websocket.close"}]
    assert upstream.request.header("Upgrade") == "websocket"


def test_without_the_package_that_reads_frames_a_socket_is_refused(
    call: Callable[..., Server], upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "websockets", None)
    server = call(socket_scope(**REFUSABLE), CONNECT)

    assert (server.status, json.loads(server.body)["error"]["code"]) == (501, "websocket_unsupported")
    assert "websockets" in json.loads(server.body)["error"]["message"]
    assert upstream.requests == []


def test_a_handshake_over_http_2_goes_up_as_one_of_http_1_1(call: Callable[..., Server], upstream: Any) -> None:
    upstream.answer(Json({"error": completion()}, status=404))
    scope = socket_scope(**REFUSABLE, http_version="2", scheme="wss", headers=[HOST], subprotocols=["a", "b"])

    assert call({**scope, "headers": [(b"host", b"127.0.0.1:443")]}, CONNECT).status == 404
    assert upstream.request.method == "GET"
    assert upstream.request.header("Sec-WebSocket-Version") == "13"
    assert upstream.request.header("Sec-WebSocket-Protocol") == "a, b"


@pytest.mark.parametrize(
    ("protocols", "header"),
    [
        (["a", "b"], []),
        ([], [(b"sec-websocket-protocol", b"a, b")]),
        (["a", "b"], [(b"sec-websocket-protocol", b"a, b")]),
    ],
)
def test_sub_protocols_are_found_wherever_the_server_leaves_them(
    call: Callable[..., Server], upstream: Any, protocols: list[str], header: list[tuple[bytes, bytes]]
) -> None:
    upstream.answer(Json({"error": completion()}, status=404))
    call(socket_scope(headers=[*HANDSHAKE, *header], subprotocols=protocols), CONNECT)

    assert upstream.request.header("Sec-WebSocket-Protocol") == "a, b"


def test_a_message_that_is_none_ends_the_tunnel(
    call: Callable[..., Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SocketUpstream() as sockets:

        async def say_nothing() -> None:
            settings = {"openai_base_url": sockets.base_url, "openai_api_key": UPSTREAM_KEY}
            app = AsgiApp(lambda: assemble(settings, tmp_path / "settings.toml", MemoryKeychain))
            server = Server(CONNECT)
            calling = asyncio.create_task(app(socket_scope(), server.receive, server.send))
            await server.sends("websocket.accept")
            server.give({"type": "websocket.receive"})
            await asyncio.wait_for(calling, LIMIT_S)
            await app.stop()

        asyncio.run(say_nothing())
        wait_for(lambda: sockets.closes, "the upstream's end")

    assert "was not understood" in caplog.text
