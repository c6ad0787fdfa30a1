"""The bridge: what a WSGI application decides is done on the event loop, and whatever goes wrong has an answer."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from fakes.wire_client import WireClient, in_chunks
from proxy.errors.request import BodyTooLarge
from proxy.server.bridge import Bridge
from proxy.server.decisions import HAND_OVER
from proxy.server.limits import Limits
from proxy.server.thread import ServerThread
from waiting import wait_for

WAIT_S = 5.0
LIMIT_BYTES = 1000


class EndedBody:
    """A WSGI body that notes whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"in "
        yield b"pieces"

    def close(self) -> None:
        self.is_closed = True


class Exchange:
    """An exchange whose work is one of the methods here."""

    def __init__(self, work: str) -> None:
        self.work = work
        self.entered = threading.Event()
        self.cancelled = threading.Event()

    def is_current(self) -> bool:
        """Have the application decide anew."""
        return False

    async def perform(self, body: Any, client: Any) -> None:
        self.entered.set()
        try:
            await getattr(self, f"do_{self.work}")(body, client)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def do_whole(self, body: Any, client: Any) -> None:
        await client.whole(201, [("content-length", "5"), ("x-own", "one")], b"whole")

    async def do_echo(self, body: Any, client: Any) -> None:
        try:
            data = await body.read(LIMIT_BYTES)
        except BodyTooLarge as error:
            await client.whole(error.status, error.headers(), error.body())
            return
        await client.whole(200, [("content-length", str(len(data))), ("x-said-length", str(body.length))], data)

    async def do_stream(self, body: Any, client: Any) -> None:
        await client.start(200, [])
        for piece in (b"one", b"two"):
            await client.write(piece)
        await client.finish()

    async def do_raise(self, body: Any, client: Any) -> None:
        raise RuntimeError("our bug with sk-secret-in-a-bug")

    async def do_raise_after_effects(self, body: Any, client: Any) -> None:
        client.forbid_retry()
        raise RuntimeError("our bug")

    async def do_refuse_after_effects(self, body: Any, client: Any) -> None:
        client.forbid_retry()
        await client.whole(503, [("X-Should-Retry", "true"), ("content-length", "4")], b"busy")

    async def do_succeed_after_effects(self, body: Any, client: Any) -> None:
        client.forbid_retry()
        await self.do_whole(body, client)

    async def do_wait_after_effects(self, body: Any, client: Any) -> None:
        client.forbid_retry()
        await self.do_wait(body, client)

    async def do_raise_midway(self, body: Any, client: Any) -> None:
        await client.start(200, [])
        await client.write(b"one")
        raise RuntimeError("our bug")

    async def do_break_off(self, body: Any, client: Any) -> None:
        await client.start(200, [])
        await client.write(b"one")
        client.abort()

    async def do_break_off_among_others(self, body: Any, client: Any) -> None:
        asyncio.get_running_loop().call_soon(int)  # what is written now is held for a moment
        await self.do_break_off(body, client)

    async def do_wait(self, body: Any, client: Any) -> None:
        await body.read(LIMIT_BYTES * LIMIT_BYTES)
        await asyncio.Event().wait()

    async def do_wait_midway(self, body: Any, client: Any) -> None:
        await client.start(200, [])
        await client.write(b"one")
        await asyncio.Event().wait()


class Application:
    """A WSGI application: `/plain`, `/broken`, or an exchange by its name; it remembers what it was given."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.body = EndedBody()
        self.exchange = Exchange("none")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.environ = environ
        name = environ["PATH_INFO"].removeprefix("/")
        if name == "plain":
            start_response("418 I'm a teapot", [("Content-Type", "text/plain"), ("Content-Length", "9")])
            return self.body
        if name == "broken":
            raise RuntimeError("our bug with sk-secret-in-a-bug")
        self.exchange = Exchange(name)
        environ[HAND_OVER](self.exchange, [("x-hook", "set")])
        return ()


@pytest.fixture(scope="module")
def application() -> Application:
    return Application()


@pytest.fixture(scope="module")
def port(application: Application) -> Iterator[int]:
    server = ServerThread(Bridge(application))
    yield server.start("127.0.0.1", 0).port
    server.stop()


@pytest.fixture
def client(port: int) -> Iterator[WireClient]:
    with WireClient(port) as connection:
        yield connection


def test_a_plain_answer_of_the_application_goes_out_as_it_is(client: WireClient) -> None:
    reply = client.ask("GET", "/plain")

    assert (reply.status, reply.header("content-type"), reply.body) == (418, "text/plain", b"in pieces")


def test_the_body_of_the_application_is_closed(client: WireClient, application: Application) -> None:
    application.body = EndedBody()
    client.ask("GET", "/plain")

    assert application.body.is_closed


@pytest.mark.core
def test_an_exchange_answers_with_its_own_headers_and_those_of_the_hooks(client: WireClient) -> None:
    reply = client.ask("GET", "/whole")

    assert (reply.status, reply.body) == (201, b"whole")
    assert (reply.header("x-own"), reply.header("x-hook")) == ("one", "set")


def test_the_hooks_headers_stand_on_a_stream_too(client: WireClient) -> None:
    reply = client.ask("GET", "/stream")

    assert (reply.header("x-hook"), reply.body) == ("set", b"onetwo")


@pytest.mark.core
def test_each_piece_of_a_stream_is_a_chunk_of_its_own(client: WireClient) -> None:
    client.send(client.request("GET", "/stream")).read_head()

    assert [client.read_chunk() for _ in range(3)] == [b"one", b"two", b""]


def test_the_path_reaches_the_application_as_the_client_encoded_it(
    client: WireClient, application: Application
) -> None:
    client.ask("GET", "/a%2Fb%20c?x=%2F&y=1")

    assert application.environ["RAW_URI"] == "/a%2Fb%20c?x=%2F&y=1"
    assert application.environ["QUERY_STRING"] == "x=%2F&y=1"


def test_headers_reach_the_application_as_the_environment_of_wsgi(client: WireClient, application: Application) -> None:
    client.ask("POST", "/whole", b"abc", "Content-Type: text/plain", "X-Two: 1", "X-Two: 2")

    environ = application.environ
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "3")
    assert (environ["HTTP_X_TWO"], environ["HTTP_HOST"]) == ("1,2", client.host)
    assert environ["SERVER_PORT"] == client.host.partition(":")[2]


def test_a_body_with_a_length_is_read_whole(client: WireClient) -> None:
    reply = client.ask("POST", "/echo", b"a body")

    assert (reply.body, reply.header("x-said-length")) == (b"a body", "6")


@pytest.mark.core
def test_a_chunked_body_is_read_whole_though_its_length_is_unknown(client: WireClient) -> None:
    client.send(client.request("POST", "/echo", None, "Transfer-Encoding: chunked"))
    for piece in (b"3\r\na b\r\n", b"3\r\nody\r\n", b"0\r\n\r\n"):
        client.send(piece)
    reply = client.read_reply()

    assert (reply.body, reply.header("x-said-length")) == (b"a body", "None")


def test_a_request_without_a_body_has_the_length_0(client: WireClient) -> None:
    reply = client.ask("GET", "/echo")

    assert (reply.body, reply.header("x-said-length")) == (b"", "0")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(client: WireClient) -> None:
    client.send(client.request("POST", "/echo", None, f"Content-Length: {LIMIT_BYTES + 1}"))

    assert client.read_reply().status == 413


def test_a_chunked_body_that_grows_too_large_is_refused_before_its_end(client: WireClient) -> None:
    client.send(client.request("POST", "/echo", None, "Transfer-Encoding: chunked"))
    client.send(in_chunks(b"x" * (LIMIT_BYTES + 1)).removesuffix(b"0\r\n\r\n"))

    assert client.read_reply().status == 413


def test_a_body_of_the_largest_size_is_taken(client: WireClient) -> None:
    assert client.ask("POST", "/echo", b"x" * LIMIT_BYTES).status == 200


@pytest.mark.core
@pytest.mark.parametrize("path", ["/broken", "/raise"])
def test_a_bug_is_a_500_of_the_api_and_its_stack_stands_in_the_log_only(
    client: WireClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = client.ask("GET", path)

    assert (reply.status, reply.error["code"]) == (500, "server_error")
    assert b"Traceback" not in reply.body
    assert b"our bug" not in reply.body
    assert "our bug" in caplog.text


@pytest.mark.parametrize("path", ["/broken", "/raise"])
def test_a_bug_is_a_whole_500_for_an_http_1_0_client_too(client: WireClient, path: str) -> None:
    reply = client.send(client.request("GET", path, version="HTTP/1.0")).read_reply()

    assert (reply.status, reply.error["code"]) == (500, "server_error")


@pytest.mark.parametrize(("path", "status"), [("/raise_after_effects", 500), ("/refuse_after_effects", 503)])
def test_an_error_after_effects_is_final_whoever_says_else(client: WireClient, path: str, status: int) -> None:
    reply = client.ask("GET", path)

    assert (reply.status, reply.header("x-should-retry")) == (status, "false")


def test_a_success_after_effects_says_nothing_of_it(client: WireClient) -> None:
    reply = client.ask("GET", "/succeed_after_effects")

    assert (reply.status, reply.header("x-should-retry")) == (201, None)


@pytest.mark.parametrize(("path", "said"), [("/wait_after_effects", "false"), ("/wait", None)])
def test_who_is_still_served_at_the_end_is_told_whether_to_ask_again(path: str, said: str | None) -> None:
    application = Application()
    server = ServerThread(Bridge(application), limits=Limits(grace_s=0.2))
    with WireClient(server.start("127.0.0.1", 0).port) as waiting:
        waiting.send(waiting.request("GET", path))
        wait_for(lambda: application.exchange.entered.is_set(), "the exchange")
        server.stop()
        reply = waiting.read_reply()

    assert (reply.error["code"], reply.header("x-should-retry")) == ("proxy_stopped", said)


def test_the_connection_serves_on_after_a_bug(client: WireClient) -> None:
    client.ask("GET", "/raise")

    assert client.ask("GET", "/whole").body == b"whole"


@pytest.mark.core
@pytest.mark.parametrize("path", ["/raise_midway", "/break_off"])
def test_an_answer_that_breaks_off_has_no_proper_end(client: WireClient, path: str) -> None:
    client.send(client.request("GET", path)).read_head()

    with pytest.raises((EOFError, ConnectionError)):
        client.read_chunks()


def test_what_came_before_an_answer_broke_off_arrives_however_busy_the_loop_is(client: WireClient) -> None:
    client.send(client.request("GET", "/break_off_among_others")).read_head()

    assert client.read_chunk() == b"one"
    with pytest.raises((EOFError, ConnectionError)):
        client.read_chunk()


@pytest.mark.core
@pytest.mark.parametrize("path", ["/wait", "/wait_midway"])
def test_a_client_who_leaves_cancels_its_exchange(port: int, application: Application, path: str) -> None:
    application.exchange = Exchange("none")
    with WireClient(port) as client:
        client.send(client.request("GET", path))
        assert wait_for_exchange(application, path.removeprefix("/"))

    assert application.exchange.cancelled.wait(WAIT_S)


@pytest.mark.core
@pytest.mark.parametrize("size", [1_000, 100_000, 300_000, 900_000])
def test_a_client_who_leaves_after_a_body_of_any_size_cancels_its_exchange(
    port: int, application: Application, size: int
) -> None:
    application.exchange = Exchange("none")
    with WireClient(port) as client:
        client.send(client.request("POST", "/wait", b"x" * size))
        assert wait_for_exchange(application, "wait")

    assert application.exchange.cancelled.wait(WAIT_S)


def wait_for_exchange(application: Application, work: str) -> bool:
    """Wait until the exchange of that work has begun."""
    wait_for(lambda: application.exchange.work == work, "the exchange has begun")
    return application.exchange.entered.wait(WAIT_S)


def test_a_chunked_body_has_no_known_length_in_one_packet_either(client: WireClient) -> None:
    head = client.request("POST", "/echo", None, "Transfer-Encoding: chunked")
    reply = client.send(head + in_chunks(b"a body")).read_reply()

    assert (reply.body, reply.header("x-said-length")) == (b"a body", "None")
