"""The pages that a script draws, their files, and the JSON of settings and log below them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.dashboard import Hosted, form_token
from proxy.settings.file_text import FileState
from proxy.settings.model import Settings

TOKEN = "X-Form-Token"


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml", openai_api_key="key-of-the-command-line") as program:
        yield program


@pytest.mark.parametrize("page", ["requests", "usage", "settings", "log"])
def test_a_page_runs_our_own_scripts_alone(hosted: Hosted, page: str) -> None:
    with hosted.enter() as browser:
        answer = browser.get(f"/{page}")
        assert f"/ui/assets/{page}.js" in answer.text
        assert "<script>" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        script = browser.get(f"{hosted.root_url}/ui/assets/{page}.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "name",
    [
        "..%2fpage.css",
        "%2e%2e/home.html",
        "vendor/LICENSE.htm",
        "nothing.js",
        "/etc/passwd",
        "a%00.js",
        "",
    ],
)
def test_no_other_file_is_given_out(hosted: Hosted, name: str) -> None:
    with hosted.enter() as browser:
        assert browser.get(f"{hosted.root_url}/ui/assets/{name}").status_code in (403, 404)


def test_every_setting_is_told_and_no_key(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        told = browser.get("/api/settings")
    assert {row["name"] for row in told.json()["settings"]} == set(Settings.model_fields)
    assert "key-of-the-command-line" not in told.text


def test_an_edit_by_hand_that_is_in_force_is_told_on_the_pages(hosted: Hosted) -> None:
    store = hosted.services.store
    store.path.parent.mkdir(parents=True, exist_ok=True)
    with hosted.enter() as browser:
        assert browser.get("/api/settings").json()["taken_up"] is None
        before = FileState.of(store.path).content
        store.path.write_bytes((before or b"") + b"\ntool_timeout = 17\n")
        store.reload(FileState.of(store.path))

        told, home = browser.get("/api/settings").json()["taken_up"], browser.get("/").text

    said = f"{store.path.name}: now in force: tool_timeout"
    assert told["text"] == said
    assert said in home
    store.update(tool_timeout=None)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("proxy_max_body_mb", -1, "above 0"),
        ("openai_api_key", "key-of-somebody", "keys do not belong in files"),
        ("proxy_port", 9000, "fixed by the command line"),
        ("no_such_setting", 1, "is no setting"),
        ("proxy_host", "0.0.0.0", "PROXY_REQUIRE_API_KEY"),
    ],
)
def test_a_wrong_change_is_refused_with_its_reason(hosted: Hosted, field: str, value: object, words: str) -> None:
    before = hosted.services.store.current
    with hosted.enter() as browser:
        headers = {TOKEN: form_token(browser.get("/").text)}
        answer = browser.post(f"/api/settings/{field}", json={"value": value}, headers=headers)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert hosted.services.store.current == before


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
def test_a_change_without_the_token_is_none(hosted: Hosted, token: str) -> None:
    with hosted.enter() as browser:
        headers = {TOKEN: token.encode()}
        answer = browser.post("/api/settings/proxy_usage_days", json={"value": 3}, headers=headers)
    assert answer.status_code == 403
    assert hosted.services.store.current.proxy_usage_days == 400


def test_null_is_the_default_again(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        headers = {TOKEN: form_token(browser.get("/").text)}
        for value, held, origin in ((30, 30, "settings file"), (None, 400, "default")):
            row = browser.post("/api/settings/proxy_usage_days", json={"value": value}, headers=headers).json()
            assert (row["value"], row["origin"]) == (held, origin)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{"model": "m", "top_k": 3}', {"model": "m", "temperature": 0.5}),
        ('{"model": "m", "temperature": 1}', {"model": "m", "temperature": 1}),
        ("[1]", None),
        ("{", None),
    ],
)
def test_the_rules_can_be_tried(hosted: Hosted, body: str, sent: object) -> None:
    hosted.services.store.update(openai_param_defaults={"temperature": 0.5}, openai_param_drop=["top_k"])
    with hosted.enter() as browser:
        headers = {TOKEN: form_token(browser.get("/").text)}
        answer = browser.post("/api/try-rules", json={"body": body}, headers=headers)
    if sent is None:
        assert answer.status_code == 400
    else:
        assert json.loads(answer.json()["sent"]) == sent
