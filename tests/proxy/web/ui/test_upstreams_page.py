"""The page of upstreams."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.environment import clean_environment
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.shared_upstream import Fresh

KEY = "key-of-another-upstream"
MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(MODELS))
    return fresh


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh) -> Iterator[Hosted]:
    with clean_environment():
        program = Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url)
    with program:
        yield program


def post(browser: httpx2.Client, path: str, **fields: str) -> str:
    token = form_token(browser.get("/upstreams").text)
    return browser.post(f"/upstreams/{path}", data={"form_token": token, **fields}).text


def test_an_upstream_is_added_chosen_tested_and_removed(hosted: Hosted, upstream: Fresh) -> None:
    store = hosted.services.store
    with hosted.enter() as browser:
        added = post(browser, "add", name="second", base_url=upstream.base_url, key=KEY, models="llama-*, qwen-*")
        assert "second is added." in added
        assert KEY not in added
        row = store.current.upstreams[1]
        assert row.models == ("llama-*", "qwen-*")
        assert f"upstream second {row.origin}" in hosted.keychain.kept

        assert "Requests go to second" in post(browser, "use", name="second")
        assert store.current.chosen_upstream.name == "second"

        assert "accepts the key" in post(browser, "test", name="second")
        assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"

        assert "second is removed, and its key." in post(browser, "remove", name="second")
    assert store.current.proxy_upstream is None
    assert not any(KEY in value for value in hosted.keychain.kept.values())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a/b", "base_url": "https://x.example"}, "is no name"),
        ({"name": "x", "base_url": "http://x.example"}, "in the clear"),
        ({"name": "x", "base_url": "nonsense"}, "must begin with https://"),
        ({"name": "default", "base_url": "https://x.example"}, "use another name"),
        ({"name": "x", "base_url": "https://x.example", "fallback": "nobody"}, "which is no upstream"),
        ({"name": "<b>x</b>", "base_url": "https://x.example"}, "is no name"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(hosted: Hosted, fields: dict[str, str], words: str) -> None:
    with hosted.enter() as browser:
        page = post(browser, "add", **fields)
    assert words in page
    assert "<b>" not in page
    assert hosted.services.store.current.proxy_upstreams == ()


def test_a_refused_key_does_not_replace_a_good_one(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url, key=KEY)
        upstream.answer(Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, 401))
        page = post(browser, "key", name="second", key="key-that-is-refused")
        assert "The key that is stored stays" in page
        assert "key-that-is-refused" not in page
    held = hosted.services.upstream_keys.of(hosted.services.store.current.upstreams[1])
    assert held.state.key == KEY


def test_nothing_changes_without_the_forms_token(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        answer = browser.post("/upstreams/add", data={"name": "x", "base_url": "https://x.example"})
    assert answer.status_code == 403
    assert hosted.services.store.current.proxy_upstreams == ()
