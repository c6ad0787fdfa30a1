"""The page on which clients are connected."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.shared_upstream import Fresh
from waiting import wait_for

MODELS = {
    "object": "list",
    "data": [{"id": "gpt-5-mini", "object": "model"}, {"id": "text-embedding-3", "object": "model"}],
}


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(MODELS))
    return fresh


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh, empty_computer: Path) -> Iterator[Hosted]:
    with Hosted(
        settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url, openai_api_key="upstream-key"
    ) as program:
        yield program


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def seen(page: str, name: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', section(page, name))
    assert found
    return found[1]


def press(browser: httpx2.Client, name: str, what: str = "", shown: str | None = None) -> str:
    page = browser.get("/connect").text
    fields = {"form_token": form_token(page), "seen": shown or seen(page, name)}
    return browser.post(f"/connect/{name}{what}", data=fields).text


def test_a_client_is_connected_seen_and_disconnected(hosted: Hosted, empty_computer: Path) -> None:
    file = empty_computer / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text("# mine\n")
    with hosted.enter() as browser:
        assert "+base_url = " in browser.get("/connect").text.replace("&#34;", '"')
        assert "is connected" in press(browser, "codex")
        assert f'base_url = "{hosted.base_url}"' in file.read_text()
        assert "No request of its own" in section(browser.get("/connect").text, "codex")

        hosted.http.get("/v1/models", headers={"User-Agent": "codex_cli_rs/1.0"})

        wait_for(
            lambda: "asked for models" in section(browser.get("/connect").text, "codex"), "its request on the page"
        )
        seen = browser.get("/api/connect").json()["seen"]
        assert seen.pop("codex").startswith("asked for models")
        assert not any(seen.values())
        assert "is disconnected" in press(browser, "codex", "/undo")
    assert file.read_text() == "# mine\n"


def test_a_request_from_before_it_was_connected_proves_nothing(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        hosted.http.get("/v1/models", headers={"User-Agent": "codex_cli_rs/1.0"})
        wait_for(
            lambda: "asked for models" in section(browser.get("/connect").text, "codex"), "its request on the page"
        )

        press(browser, "codex")

        assert "since it was connected" in section(browser.get("/connect").text, "codex")


def test_a_client_that_does_not_name_itself_is_not_said_to_be_seen(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        press(browser, "aider")
        assert "do not name it" in section(browser.get("/connect").text, "aider")


def test_what_was_wrong_with_a_request_is_said(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "no", "type": "x", "code": "y", "param": None}}, status=404))
    with hosted.enter() as browser:
        hosted.http.get("/v1/models", headers={"User-Agent": "Zed/1.0"})

        wait_for(lambda: "and got 404" in section(browser.get("/connect").text, "zed"), "its request on the page")


def test_each_client_gets_its_own_key_where_keys_are_required(hosted: Hosted, empty_computer: Path) -> None:
    hosted.services.store.update(proxy_require_api_key=True)
    with hosted.enter() as browser:
        assert "is connected" in press(browser, "codex")
        text = (empty_computer / ".codex" / "config.toml").read_text()
        key = next(each.key for each in hosted.services.proxy_keys.current if each.name == "Codex CLI")
        assert key in text
        assert key not in browser.get("/connect").text
        answer = hosted.http.get("/v1/models", headers={"Authorization": f"Bearer {key}", "User-Agent": "x/1"})
        assert answer.status_code == 200
        wait_for(
            lambda: "asked for models" in section(browser.get("/connect").text, "codex"), "its request on the page"
        )

        assert "Its key is revoked." in press(browser, "codex", "/undo")
    assert "Codex CLI" not in [each.name for each in hosted.services.proxy_keys.current]


@pytest.mark.parametrize("name", ["codex", "zed", "aider"])
def test_a_file_that_is_not_the_one_shown_is_left_alone(hosted: Hosted, empty_computer: Path, name: str) -> None:
    with hosted.enter() as browser:
        page = press(browser, name, shown="0" * 64)

    assert "has changed since it was shown" in page
    assert not (empty_computer / ".codex").exists()
    assert not (empty_computer / ".aider.conf.yml").exists()


@pytest.mark.parametrize("path", ["codex", "codex/undo", "zed"])
def test_a_form_without_its_token_changes_nothing(hosted: Hosted, empty_computer: Path, path: str) -> None:
    with hosted.enter() as browser:
        assert browser.post(f"/connect/{path}", data={"seen": "none"}).status_code == 403

    assert not (empty_computer / ".codex").exists()


def test_a_foreign_page_cannot_connect(hosted: Hosted, empty_computer: Path) -> None:
    with hosted.enter() as browser:
        token = form_token(browser.get("/connect").text)
        answer = browser.post(
            "/connect/codex", data={"seen": "none", "form_token": token}, headers={"Origin": "https://evil.example"}
        )

    assert answer.status_code == 403
    assert not (empty_computer / ".codex").exists()


def test_what_cannot_be_connected_is_said(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        page = browser.get("/connect").text
        assert "Cursor cannot use it" in page
        assert "text-embedding-3" not in page
        assert "gpt-5-mini" in page
        assert "there is no" in press(browser, "nothing", shown="x")
