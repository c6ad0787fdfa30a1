"""What the app decided about a head holds for the next request with the same one, and no longer than it may."""

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from fakes.asking import CHAT, FILES, MODELS
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, WireClient
from proxy.http.request_head import IncomingHead
from proxy.server.decisions import HAND_OVER, MAX_KEPT_BYTES, Decisions, Endpoints

BODY = b'{"model": "m", "messages": []}'


class Exchange:
    """An exchange that may be used again until it is told otherwise."""

    def __init__(self, number: int, *, holds: bool) -> None:
        self.number = number
        self.holds = holds

    async def perform(self, body: Any, client: Any) -> None:
        raise NotImplementedError

    def is_current(self) -> bool:
        return self.holds


class Application:
    """A WSGI application that counts what it is asked."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.asked = 0
        self.holds = True

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked += 1
        if environ["PATH_INFO"] == "/plain":
            start_response("200 OK", [])
            return [b"plain"]
        self.exchanges.append(Exchange(self.asked, holds=self.holds))
        environ[HAND_OVER](self.exchanges[-1], [("x-hook", str(self.asked))])
        return ()


HERE = Endpoints("http", ("127.0.0.1", 8000), None)
HOST = (b"host", b"127.0.0.1:8000")


def head(path: str = "/a", *headers: tuple[bytes, bytes], method: str = "POST", query: bytes = b"") -> IncomingHead:
    return IncomingHead(method, path.encode(), query, "1.1", [HOST, *headers])


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def decisions(application: Application) -> Decisions:
    return Decisions(application)


def test_the_same_head_is_decided_once(application: Application, decisions: Decisions) -> None:
    first, second = decisions.about(head(), HERE), decisions.about(head(), HERE)

    assert application.asked == 1
    assert second.exchange is first.exchange
    assert second.headers == [("x-hook", "1")]


def test_the_length_of_the_body_makes_no_other_head(application: Application, decisions: Decisions) -> None:
    decisions.about(head("/a", (b"content-length", b"1")), HERE)
    decisions.about(head("/a", (b"content-length", b"2")), HERE)

    assert application.asked == 1


OTHER_HEADS = {
    "another path": (head("/b"), HERE),
    "another method": (head(method="PUT"), HERE),
    "another query": (head(query=b"a=1"), HERE),
    "another key": (head("/a", (b"authorization", b"Bearer other")), HERE),
    "an origin": (head("/a", (b"origin", b"https://evil.example")), HERE),
    "another host": (replace(head(), headers=[(b"host", b"evil.example")]), HERE),
    "another port": (head(), HERE._replace(server=("127.0.0.1", 8001))),
    "HTTP/1.0": (replace(head(), version="1.0"), HERE),
}


@pytest.mark.parametrize(("other", "endpoints"), OTHER_HEADS.values(), ids=OTHER_HEADS)
def test_another_head_is_decided_for_itself(
    application: Application, decisions: Decisions, other: IncomingHead, endpoints: Endpoints
) -> None:
    decisions.about(head(), HERE)
    decisions.about(other, endpoints)

    assert application.asked == 2


def test_an_exchange_that_no_longer_holds_is_decided_anew(application: Application, decisions: Decisions) -> None:
    decisions.about(head(), HERE)
    application.exchanges[0].holds = False

    assert decisions.about(head(), HERE).exchange is application.exchanges[1]
    assert decisions.about(head(), HERE).exchange is application.exchanges[1]


def test_an_exchange_that_holds_for_one_request_takes_no_room(application: Application, decisions: Decisions) -> None:
    application.holds = False  # as a WebSocket's
    decisions.about(head(), HERE)

    assert len(decisions._kept) == 0


def test_an_answer_of_the_app_itself_is_never_kept(application: Application, decisions: Decisions) -> None:
    assert decisions.about(head("/plain"), HERE).body == decisions.about(head("/plain"), HERE).body == b"plain"
    assert application.asked == 2


@pytest.mark.parametrize("long", [1, 500, 30_000, 1_000_000, 3_000_000])
def test_what_is_kept_is_bounded_in_bytes(application: Application, decisions: Decisions, long: int) -> None:
    tracemalloc.start()
    try:
        decisions.about(head("/first"), HERE)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(30_000_000 // (long + 10_000)):
            decisions.about(head(f"/{number}", (b"x-long", b"x" * long)), HERE)
            application.exchanges.clear()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 2 * MAX_KEPT_BYTES


def test_the_decision_that_was_not_asked_for_longest_makes_room(application: Application, decisions: Decisions) -> None:
    count = 0
    while not count or "/0" in {kept.head.path.decode() for kept in decisions._kept.values()}:
        decisions.about(head(f"/{count}"), HERE)
        count += 1
    asked = application.asked
    decisions.about(head("/1"), HERE)
    assert application.asked == asked

    decisions.about(head("/one-more"), HERE)
    decisions.about(head("/1"), HERE)
    assert application.asked == asked + 1
    decisions.about(head("/2"), HERE)
    assert application.asked == asked + 2


def test_a_changed_setting_is_in_force_for_the_next_request_with_the_same_head(tmp_path_factory: Any) -> None:
    with ScriptedUpstream() as upstream:
        upstream.answer(Json(completion("Hello")))
        with (
            proxy_before(upstream.base_url, tmp_path_factory.mktemp("settings")) as proxy,
            WireClient(proxy.address.port) as client,
        ):
            before = [client.post(CHAT, BODY).status for _ in range(2)]
            proxy.services.store.update(proxy_require_api_key=True)
            refused = client.post(CHAT, BODY)
            key = proxy.services.proxy_keys.new("mine").key
            let_in = [client.ask("POST", CHAT, BODY, JSON_TYPE, f"Authorization: Bearer {key}") for _ in range(2)]
            proxy.services.proxy_keys.revoke("mine")
            revoked = client.ask("POST", CHAT, BODY, JSON_TYPE, f"Authorization: Bearer {key}")

    assert before == [200, 200]
    assert (refused.status, refused.error["code"]) == (401, "missing_proxy_key")
    assert [reply.status for reply in let_in] == [200, 200]
    assert (revoked.status, revoked.error["code"]) == (401, "invalid_proxy_key")


def test_two_requests_with_one_head_have_two_ids(tmp_path_factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    with (
        ScriptedUpstream() as upstream,
        proxy_before(upstream.base_url, tmp_path_factory.mktemp("settings"), openai_max_retries=0) as proxy,
        WireClient(proxy.address.port) as client,
    ):
        upstream.stop_listening()
        ids = {client.post(CHAT, BODY).header("x-request-id") for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", CHAT, BODY), ("GET", MODELS, None), ("POST", FILES, b"x")]
)
def test_a_request_leaves_nothing_that_only_the_collector_finds(
    proxy: RunningProxy, upstream: Fresh, method: str, path: str, body: bytes | None
) -> None:
    lines = () if body is None else ("Content-Type: " + ("application/json" if path == CHAT else "a/b"),)
    with connect(proxy) as client:
        for _ in range(3):
            client.ask(method, path, body, *lines)
        # What other tests have left ends in some thread meanwhile; what a request leaves is found each time.
        left = [found_by_the_collector(lambda: client.ask(method, path, body, *lines).status) for _ in range(3)]

    assert [] in left, left


def found_by_the_collector(ask: Callable[[], int]) -> list[str]:
    """Return the kinds of our objects that twenty requests left in circles."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(20):
            assert ask() == 200
        gc.collect()
        return [type(found).__qualname__ for found in gc.garbage if type(found).__module__.startswith("proxy.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
