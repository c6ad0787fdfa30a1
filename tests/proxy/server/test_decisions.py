"""What the app decided about a head holds for the next request with the same one, and no longer than it may."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fakes.asking import CHAT
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import proxy_before
from fakes.wire_client import JSON_TYPE, WireClient
from proxy.server.decisions import HAND_OVER, MAX_KEPT, Decisions

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


def scope(path: str = "/a", *headers: tuple[bytes, bytes], method: str = "POST", query: bytes = b"") -> dict[str, Any]:
    return {
        "method": method,
        "raw_path": path.encode(),
        "query_string": query,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": None,
        "headers": [(b"host", b"127.0.0.1:8000"), *headers],
    }


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def decisions(application: Application) -> Decisions:
    return Decisions(application)


def test_the_same_head_is_decided_once(application: Application, decisions: Decisions) -> None:
    first, second = decisions.about(scope()), decisions.about(scope())

    assert application.asked == 1
    assert second.exchange is first.exchange
    assert second.headers == [("x-hook", "1")]


def test_the_length_of_the_body_makes_no_other_head(application: Application, decisions: Decisions) -> None:
    decisions.about(scope("/a", (b"content-length", b"1")))
    decisions.about(scope("/a", (b"content-length", b"2")))

    assert application.asked == 1


OTHER_HEADS = {
    "another path": scope("/b"),
    "another method": scope(method="PUT"),
    "another query": scope(query=b"a=1"),
    "another key": scope("/a", (b"authorization", b"Bearer other")),
    "an origin": scope("/a", (b"origin", b"https://evil.example")),
    "another host": {**scope(), "headers": [(b"host", b"evil.example")]},
    "another port": {**scope(), "server": ("127.0.0.1", 8001)},
    "HTTP/1.0": {**scope(), "http_version": "1.0"},
}


@pytest.mark.parametrize("other", OTHER_HEADS.values(), ids=OTHER_HEADS)
def test_another_head_is_decided_for_itself(
    application: Application, decisions: Decisions, other: dict[str, Any]
) -> None:
    decisions.about(scope())
    decisions.about(other)

    assert application.asked == 2


def test_an_exchange_that_no_longer_holds_is_decided_anew(application: Application, decisions: Decisions) -> None:
    decisions.about(scope())
    application.exchanges[0].holds = False

    assert decisions.about(scope()).exchange is application.exchanges[1]
    assert decisions.about(scope()).exchange is application.exchanges[1]


def test_an_exchange_that_holds_for_one_request_takes_no_room(application: Application, decisions: Decisions) -> None:
    application.holds = False  # as a WebSocket's
    decisions.about(scope())

    assert len(decisions._kept) == 0


def test_an_answer_of_the_app_itself_is_never_kept(application: Application, decisions: Decisions) -> None:
    assert decisions.about(scope("/plain")).body == decisions.about(scope("/plain")).body == b"plain"
    assert application.asked == 2


def test_no_more_decisions_are_kept_than_there_is_room_for(application: Application, decisions: Decisions) -> None:
    for number in range(3 * MAX_KEPT):
        decisions.about(scope(f"/{number}"))

    assert len(decisions._kept) <= MAX_KEPT


def test_the_decision_that_was_not_asked_for_longest_makes_room(application: Application, decisions: Decisions) -> None:
    for number in range(MAX_KEPT):
        decisions.about(scope(f"/{number}"))
    decisions.about(scope("/0"))
    decisions.about(scope("/one-more"))
    asked = application.asked
    decisions.about(scope("/0"))
    decisions.about(scope(f"/{MAX_KEPT - 1}"))

    assert application.asked == asked
    decisions.about(scope("/1"))
    assert application.asked == asked + 1


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
        proxy_before(upstream.base_url, tmp_path_factory.mktemp("settings")) as proxy,
        WireClient(proxy.address.port) as client,
    ):
        upstream.stop_listening()
        ids = {client.post(CHAT, BODY).header("x-request-id") for _ in range(3)}

    assert len(ids) == 3
