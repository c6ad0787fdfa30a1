"""An upstream that was down is asked again by itself, and only then."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.asking import CHAT, ask, refusal
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Content,
    Gzip,
    Html,
    Json,
    Redirect,
    ResetBeforeHeaders,
    ShortBody,
    Text,
    completion,
)
from fakes.shared_upstream import Fresh, proxy_before
from proxy import lifespan
from waiting import settled, wait_for

MODELS = "/v1/models"
DOWN: dict[str, Answer] = {
    "it hangs up": CloseBeforeHeaders(),
    "it resets": ResetBeforeHeaders(),
    "it breaks off": ShortBody({"id": 1}),
    "a page": Html(status=502),
    "server errors": refusal(503),
}
OTHERS: dict[str, Answer] = {  # who answers in the place of the upstream
    "a login page": Html("<html><body>Log in to the Wi-Fi</body></html>", status=200),
    "a login page that is called JSON": Content(b"\n <!DOCTYPE html><p>Welcome", "application/json"),
    "a page that forbids": Html("<h1>Blocked by your company</h1>", status=403),
    "a redirect": Redirect("http://127.0.0.1:1/login", status=302),
    "nothing": Content(b"", "application/json"),
    "a text": Text("Success"),
    "half of a list": Content(b'{"object": "list", "data": [', "application/json"),
}
UP: dict[str, Answer] = {
    "models": Json({"object": "list", "data": []}),
    "the key is refused": refusal(401),
    "no such address": refusal(404),
    "no such address, as a text": Text("404 page not found", status=404),
    "no such address, as a page": Html("<h1>404 Not Found</h1>", status=404),
    "a list alone": Json([]),
    "squeezed": Gzip(b'{"object": "list", "data": []}'),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, upstream: Fresh, tmp_path: Path) -> Callable[[], RunningProxy]:
    """Return a proxy that asks soon."""
    ask_again = lifespan.ask_again
    monkeypatch.setattr(lifespan, "ask_again", lambda *parts: ask_again(*parts, (0.05, 0.1)))
    return lambda: proxy_before(upstream.base_url, tmp_path, openai_max_retries=0)  # type: ignore[return-value]


def made_down(proxy: RunningProxy, upstream: Fresh, answer: Answer) -> None:
    """Have requests fail until the upstream is called down."""
    upstream.answer(answer)
    for _ in range(3):
        assert ask(proxy, CHAT).status >= 500
    assert proxy.services.health.down()


@pytest.mark.parametrize("how", DOWN)
def test_an_upstream_that_is_back_is_well_again_though_nobody_asks(
    impatient: Callable[[], RunningProxy], upstream: Fresh, how: str
) -> None:
    with impatient() as proxy:
        made_down(proxy, upstream, DOWN[how])
        asked = len([request for request in upstream.requests if request.path == MODELS])
        wait_for(lambda: sum(r.path == MODELS for r in upstream.requests) > asked + 1, "that it is asked twice")
        assert proxy.services.health.down()

        upstream.answer(Json(completion("Hello")))
        wait_for(lambda: proxy.services.health.down() == [], "that it is well again")

    assert not any(request.body for request in upstream.requests if request.path == MODELS)


@pytest.mark.parametrize("who", OTHERS)
def test_who_answers_in_its_place_does_not_show_that_it_is_back(
    impatient: Callable[[], RunningProxy], upstream: Fresh, who: str
) -> None:
    with impatient() as proxy:
        made_down(proxy, upstream, CloseBeforeHeaders())
        upstream.answer(OTHERS[who])

        asked = len([request for request in upstream.requests if request.path == MODELS])
        wait_for(lambda: sum(r.path == MODELS for r in upstream.requests) > asked + 1, "that it is asked twice")

        assert proxy.services.health.down()


@pytest.mark.parametrize("back", UP)
def test_any_whole_answer_shows_that_it_is_back(
    impatient: Callable[[], RunningProxy], upstream: Fresh, back: str
) -> None:
    with impatient() as proxy:
        made_down(proxy, upstream, CloseBeforeHeaders())

        upstream.answer(UP[back])

        wait_for(lambda: proxy.services.health.down() == [], "that it is well again")


@pytest.mark.parametrize("answer", [Json(completion("Hello")), refusal(400), refusal(401), refusal(429)])
def test_an_upstream_that_is_not_down_is_asked_nothing(
    impatient: Callable[[], RunningProxy], upstream: Fresh, answer: Answer
) -> None:
    with impatient() as proxy:
        upstream.answer(answer)
        ask(proxy, CHAT)

        settled(lambda: len(upstream.requests))

        assert [request.path for request in upstream.requests] == [CHAT]
