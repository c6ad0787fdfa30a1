"""The first minute: a provider is chosen, its key is tried before it is kept, and a test request streams."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted.samples import completion_chunks
from fakes.scripted_upstream import Json, Sse
from fakes.shared_upstream import Fresh

MODELS = {"object": "list", "data": [{"id": "m-1", "object": "model", "created": 1, "owned_by": "x"}]}
REFUSED = {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}}
BAD = Json(REFUSED, status=401)
KEY = "a-key-of-the-first-minute"


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml") as program:
        yield program


def send(browser: httpx2.Client, path: str, value: object) -> httpx2.Response:
    token = form_token(browser.get("/").text)
    return browser.post(f"/api/first/{path}", json=value, headers={"X-Form-Token": token})


def choice(upstream: Fresh, **more: object) -> dict[str, object]:
    return {"provider": "other", "base_url": upstream.base_url, "key": KEY, "where": "keyring", **more}


def test_a_provider_is_tried_kept_used_and_answers_a_test_request(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    with hosted.enter() as browser:
        assert browser.get("/api/first").json()["needs_key"]
        kept = send(browser, "provider", choice(upstream))
        assert kept.status_code == 200, kept.text
        assert kept.json()["said"] == "127-0-0-1 accepts the key."
        assert not kept.json()["needs_key"]
        assert browser.get("/api/first/models").json()["models"] == ["m-1"]
        upstream.answer(Sse(completion_chunks("Hello", " there")))
        answer = send(browser, "test", {"model": "m-1"})

    assert KEY not in kept.text
    assert hosted.services.store.current.proxy_upstream == "127-0-0-1"
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "Hello" in answer.text
    assert answer.text.rstrip().endswith("[DONE]")
    assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"
    assert upstream.requests[-1].json()["stream"] is True


def test_the_first_page_shows_the_provider_in_use_and_its_own_key(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    with hosted.enter() as browser:
        assert "api.openai.com" in provider_box(browser)
        assert send(browser, "provider", choice(upstream)).status_code == 200
        box = provider_box(browser)

    assert upstream.base_url in box
    assert "api.openai.com" not in box
    assert f"ends in {KEY[-4:]}" in box
    assert 'name="key"' not in box  # a key entered there would be the other one's


def provider_box(browser: httpx2.Client) -> str:
    return browser.get("/").text.split('<section id="provider">')[1].split("</section>")[0]


@pytest.mark.parametrize("where", ["keyring", "session"])
def test_a_name_that_another_address_has_keeps_nothing(hosted: Hosted, upstream: Fresh, where: str) -> None:
    other = {"name": "127-0-0-1", "base_url": "https://other.example/v1"}
    hosted.services.store.update(proxy_upstreams=lambda rows: [*rows, other])
    upstream.answer(Json(MODELS))
    with hosted.enter() as browser:
        refused = send(browser, "provider", choice(upstream, where=where))

    assert refused.status_code == 400
    assert "with another address" in refused.text
    assert hosted.services.upstream_keys.held() == []
    assert hosted.services.store.current.proxy_upstream is None


@pytest.mark.parametrize("where", ["keyring", "session"])
@pytest.mark.parametrize("refusal", [Json(REFUSED, status=401), Json({"hello": 1}, status=404), Json({}, status=500)])
def test_a_key_that_is_not_accepted_is_not_kept_unless_one_says_so(
    hosted: Hosted, upstream: Fresh, refusal: Json, where: str
) -> None:
    upstream.answer(refusal)
    with hosted.enter() as browser:
        told = send(browser, "provider", choice(upstream, where=where))
        assert (told.status_code, told.json()["may_keep"]) == (409, True)
        assert hosted.keychain.kept == {}
        assert hosted.services.store.current.proxy_upstream is None
        assert browser.get("/api/first").json()["needs_key"]
        kept = send(browser, "provider", choice(upstream, where=where, anyway=True))
        assert kept.status_code == 200
        assert "is kept" in kept.json()["said"]
        assert KEY not in kept.text


def test_a_good_key_is_never_replaced_by_one_that_is_refused(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    with hosted.enter() as browser:
        assert send(browser, "provider", choice(upstream)).status_code == 200
        held = dict(hosted.keychain.kept)
        upstream.answers([BAD, Json(MODELS)])  # to the new key, then to the one in force
        told = send(browser, "provider", choice(upstream, key="a-worse-key", anyway=True))

    assert (told.status_code, told.json()["may_keep"]) == (409, False)
    assert "was not replaced" in told.json()["error"]
    assert hosted.keychain.kept == held


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"provider": "openai", "key": ""}, "paste the provider's key"),
        ({"provider": "openai", "key": ["x"]}, "paste the provider's key"),
        ({"provider": "groq", "key": "two words"}, "key"),
        ({"provider": "other", "base_url": "nonsense", "key": KEY}, "address"),
        ({"provider": "other", "base_url": "ftp://a.example/v1", "key": KEY}, "http"),
        ({"provider": "other", "base_url": "https://user:word@a.example/v1", "key": KEY}, ""),
        ({}, "address"),
        ([], "address"),
    ],
)
def test_what_is_no_provider_is_refused_with_a_sentence(hosted: Hosted, wanted: object, words: str) -> None:
    with hosted.enter() as browser:
        told = send(browser, "provider", wanted)
    assert told.status_code == 400
    assert words in told.json()["error"]
    assert hosted.keychain.kept == {}


@pytest.mark.parametrize("model", ["", " ", None, 3, "m" * 300])
def test_a_test_request_needs_a_model(hosted: Hosted, model: object) -> None:
    with hosted.enter() as browser:
        assert send(browser, "test", {"model": model}).status_code == 400


@pytest.mark.parametrize("path", ["provider", "test"])
def test_a_page_without_the_forms_token_sends_nothing(hosted: Hosted, path: str) -> None:
    with hosted.enter() as browser:
        for headers in ({}, {"X-Form-Token": "0" * 64}):
            answer = browser.post(f"/api/first/{path}", content=json.dumps({"model": "m"}), headers=headers)
            assert answer.status_code == 403


def test_a_test_request_without_a_key_says_so(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        answer = send(browser, "test", {"model": "m"})
    assert answer.status_code in (401, 502, 503)
    assert "key" in answer.json()["error"]["message"]
