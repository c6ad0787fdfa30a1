"""The page of upstreams."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.model_server import serving
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.shared_upstream import Fresh
from proxy.upstream import discovery

KEY = "key-of-another-upstream"
REFUSED = Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, 401)
MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(MODELS))
    return fresh


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url) as program:
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
        upstream.answers([REFUSED, Json(MODELS)])
        page = post(browser, "key", name="second", key="key-that-is-refused")
        assert "The key in force works and was not replaced" in page
        assert "key-that-is-refused" not in page
        held = hosted.services.upstream_keys.of(hosted.services.store.current.upstreams[1])
        assert held.state.key == KEY
        upstream.answers([REFUSED, Json({"error": {"message": "busy"}}, 500)])
        assert "may work and was not replaced" in post(browser, "key", name="second", key="key-that-is-refused")
        assert held.state.key == KEY
        assert "is empty" in post(browser, "key", name="second", key=" ")
        upstream.answer(REFUSED)
        assert "The key of second is kept." in post(browser, "key", name="second", key="key-of-this-month")
        assert held.state.key == "key-of-this-month"


def test_an_upstream_is_renamed_with_its_key(hosted: Hosted, upstream: Fresh) -> None:
    store = hosted.services.store
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url, key=KEY)
        post(browser, "add", name="third", base_url="https://x.example", fallback="second")
        post(browser, "use", name="second")
        page = post(browser, "rename", name="second", new_name="third")
        assert "there is an upstream &#39;third&#39; already" in page
        assert post(browser, "rename", name="second", new_name="<b>").count("<b>") == 0
        assert "second is named desk now" in post(browser, "rename", name="second", new_name="desk")
        assert "accepts the key" in post(browser, "test", name="desk")
    assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"
    assert store.current.chosen_upstream.name == "desk"
    assert store.current.upstreams[2].fallback == ("desk",)
    assert [name for name in hosted.keychain.kept if "second" in name] == []


def test_what_goes_wrong_elsewhere_does_not_fill_the_form_of_an_upstream(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url, key=KEY)
        for action, fields in (("key", {"key": " "}), ("test", {}), ("rename", {"new_name": "a/b"})):
            upstream.answer(Json({}, 500))
            page = post(browser, action, name="second", **fields)
            assert 'role="alert"' in page
            assert f'name="base_url" required value="{upstream.base_url}"' in page


def test_what_is_found_on_this_computer_is_added(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/v1/models": {"data": [{"id": "m", "owned_by": "library"}]}, "/api/version": {"version": "0.9.0"}}
    with serving(answers) as port, hosted.enter() as browser:
        monkeypatch.setattr(discovery, "PORTS", (port,))
        base_url = f"http://127.0.0.1:{port}/v1"
        found = post(browser, "find")
        assert f"Ollama <code>{base_url}</code>, 1 models" in found
        assert 'name="name" value="ollama"' in found
        assert "ollama is added." in post(browser, "add", name="ollama", base_url=base_url)
        assert "No other model server answers" in post(browser, "find")
    assert names(hosted) == ["ollama"]


def names(hosted: Hosted) -> list[str]:
    return [row.name for row in hosted.services.store.current.proxy_upstreams]


def test_a_row_is_edited_and_what_has_no_field_stays(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url, key=KEY, models="llama-*")
        more = '{"headers": {"X-Title": "desk"}, "timeout": 5}'
        edited = post(
            browser, "edit", name="second", base_url=upstream.base_url, auth="x-api-key", models="a b", more=more
        )
        assert "second is changed." in edited
        assert "enter its key" not in edited
        assert "X-Title" in edited
    row = hosted.services.store.current.proxy_upstreams[0]
    assert (row.auth, row.models, row.headers, row.timeout) == ("x-api-key", ("a", "b"), {"X-Title": "desk"}, 5.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_url": "http://x.example"}, "in the clear"),
        ({"auth": "basic"}, "auth"),
        ({"fallback": "second"}, "falls back to itself"),
        ({"fallback": "nobody"}, "which is no upstream"),
        ({"more": "{"}, "no JSON"),
        ({"more": '{"name": "third"}'}, "what has no field of its own"),
        ({"more": '{"timeout": -1}'}, "timeout"),
        ({"more": '{"headers": {"Authorization": "x"}}'}, "keep a key in a file"),
        ({"more": '{"colour": 1}'}, "colour"),
    ],
)
def test_a_wrong_edit_says_the_field_and_changes_nothing(
    hosted: Hosted, upstream: Fresh, fields: dict[str, str], words: str
) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url)
        before = hosted.services.store.current.proxy_upstreams
        page = post(browser, "edit", **{"name": "second", "base_url": upstream.base_url, **fields})
    assert words in page
    assert 'role="alert"' in page
    assert "PROXY_UPSTREAMS" in page
    assert hosted.services.store.current.proxy_upstreams == before


def test_two_of_one_name_are_refused(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url)
        assert "two upstreams are named second" in post(browser, "add", name="second", base_url="https://x.example")
        assert "two upstreams are named Second" in post(browser, "add", name="Second", base_url="https://x.example")
    assert names(hosted) == ["second"]


def test_a_new_address_is_not_shown_the_key_of_the_one_before(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url="https://one.example", key=KEY)
        kept = post(browser, "edit", name="second", base_url="https://one.example/other/v1")
        assert "enter its key" not in kept
        assert "enter its key" in post(browser, "edit", name="second", base_url="https://two.example")
        keys = hosted.services.upstream_keys
        assert keys.of(hosted.services.store.current.proxy_upstreams[0]).load().key is None


def test_rows_are_ordered(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        for name in ("one", "two", "three"):
            post(browser, "add", name=name, base_url=f"https://{name}.example")
        assert "three is moved up." in post(browser, "move", name="three", to="up")
        assert names(hosted) == ["one", "three", "two"]
        post(browser, "move", name="one", to="down")
        assert names(hosted) == ["three", "one", "two"]
        post(browser, "move", name="three", to="up")
        post(browser, "move", name="two", to="down")
    assert names(hosted) == ["three", "one", "two"]


def test_aliases_are_kept_changed_and_removed(hosted: Hosted, upstream: Fresh) -> None:
    store = hosted.services.store
    with hosted.enter() as browser:
        post(browser, "add", name="second", base_url=upstream.base_url)
        assert "The alias fast is kept." in post(browser, "alias", alias="fast", targets="second/a, default/b")
        assert store.current.proxy_aliases == {"fast": ("second/a", "default/b")}
        post(browser, "alias", alias="fast", targets="second/c")
        assert store.current.proxy_aliases == {"fast": ("second/c",)}
        for alias, targets, words in (
            ("a/b", "second/x", "is no alias"),
            ("x", "nobody/x", "is no upstream"),
            ("x", "x", "in a circle"),
        ):
            page = post(browser, "alias", alias=alias, targets=targets)
            assert words in page
            assert "PROXY_ALIASES" in page
        assert "The alias fast is removed." in post(browser, "alias", alias="fast", targets="")
    assert store.current.proxy_aliases == {}


def test_the_page_says_how_each_is_doing(hosted: Hosted, upstream: Fresh) -> None:
    with hosted.enter() as browser:
        post(browser, "add", name="far", base_url="https://far.example")
        hosted.services.router.cooldown.note_failure("far", "status 503, <b>overloaded</b>")
        page = browser.get("/upstreams").text
        assert "no key" in page
        post(browser, "key", name="far", key=KEY)
        page = browser.get("/upstreams").text
    assert "cooling down until " in page
    assert "status 503, &lt;b&gt;overloaded&lt;/b&gt;" in page


def test_a_test_tells_times_and_words(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "no <i>such</i> model"}}, 404), path="/v1/chat/completions")
    with hosted.enter() as browser:
        page = post(browser, "test", name="default")
    assert "lists 1 models (0." in page
    assert "m: refused with status 404, and says: no &lt;i&gt;such&lt;/i&gt; model (0." in page


def test_nothing_changes_without_the_forms_token(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        answer = browser.post("/upstreams/add", data={"name": "x", "base_url": "https://x.example"})
    assert answer.status_code == 403
    assert hosted.services.store.current.proxy_upstreams == ()
