"""Keys, refused origins, learnt repairs and tools on the page of settings."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import Answer, Html, Json
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.errors.keyring import KeyringLocked, KeyringSilent
from waiting import wait_for

MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
REFUSED = Json({"error": {"message": "no"}}, status=401)
KEY = "a-provider-key-of-settings"


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url) as program:
        yield program


class Page:
    """A page that came in by a link, with the token of its forms."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        self.headers = {"X-Form-Token": form_token(client.get("/").text)}

    def post(self, path: str, **value: object) -> httpx2.Response:
        return self.client.post(f"/api/{path}", json=value, headers=self.headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/{path}").json()


@pytest.fixture
def page(hosted: Hosted) -> Iterator[Page]:
    with hosted.enter() as client:
        yield Page(client)


def test_a_provider_key_is_set_tried_and_deleted_and_never_told(page: Page, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    [row] = page.get("keys")["upstreams"]
    assert (row["is_set"], row["state"]) == (False, "not set")
    answers = [page.post("keys/set", name=row["name"], key=f" {KEY} "), page.post("keys/try", name=row["name"])]

    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json()["upstreams"][0]["is_set"]
    assert hosted.keychain.kept["upstream"] == KEY
    assert KEY not in "".join(each.text for each in answers)
    assert page.post("keys/forget", name=row["name"]).json()["upstreams"][0]["is_set"] is False
    assert "upstream" not in hosted.keychain.kept


def test_a_key_that_works_is_not_replaced_by_one_that_does_not(page: Page, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    page.post("keys/set", name="default", key=KEY)
    upstream.answers([REFUSED, Json(MODELS)])
    told = page.post("keys/set", name="default", key="another-worse-key")

    assert (told.status_code, "was not replaced" in told.json()["error"]) == (400, True)
    assert hosted.keychain.kept["upstream"] == KEY


@pytest.mark.parametrize("held", [Json({}, status=500), Json({}, status=429), Html("<p>Log in</p>")])
def test_a_refused_key_replaces_none_that_cannot_be_tried_now(
    page: Page, hosted: Hosted, upstream: Fresh, held: Answer
) -> None:
    upstream.answer(Json(MODELS))
    page.post("keys/set", name="default", key=KEY)
    upstream.answers([REFUSED, held])
    told = page.post("keys/set", name="default", key="another-worse-key")

    assert (told.status_code, "was not replaced" in told.json()["error"]) == (400, True)
    assert hosted.keychain.kept["upstream"] == KEY


def test_a_key_that_is_refused_too_is_replaced(page: Page, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    page.post("keys/set", name="default", key=KEY)
    upstream.answer(REFUSED)

    assert page.post("keys/set", name="default", key="another-key").status_code == 200
    assert hosted.keychain.kept["upstream"] == "another-key"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("keys/set", {"name": "nobody", "key": KEY}),
        ("keys/set", {"name": "default", "key": ""}),
        ("keys/set", {"name": "default", "key": "with\nlines in it"}),
        ("keys/set", {"name": ["default"], "key": {}}),
        ("keys/try", {}),
        ("keys/proxy/new", {"name": ""}),
        ("keys/proxy/new", {"name": "\x00\u202e"}),
        ("keys/proxy/new", {"name": "n" * 1000}),
        ("keys/proxy/revoke", {"name": "nobody"}),
        ("origins/allow", {"origin": "https://never-refused.example"}),
        ("origins/allow", {"origin": None}),
        ("tools/rule", {"name": "calculate", "rule": "sometimes"}),
        ("tools/rule", {"rule": "never"}),
        ("tools/call", {"name": 3}),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(page: Page, path: str, value: dict[str, object]) -> None:
    told = page.post(path, **value)
    assert told.status_code == 400
    assert len(told.json()["error"]) > 8


def test_a_proxy_key_is_told_once_and_opens_the_proxy_until_it_is_revoked(page: Page, hosted: Hosted) -> None:
    hosted.services.store.update(proxy_require_api_key=True)
    key = page.post("keys/proxy/new", name="laptop").json()["key"]
    told = page.client.get("/api/keys").text

    assert key not in told
    assert [row["name"] for row in json.loads(told)["proxy_keys"]] == ["laptop"]
    headers = {"Authorization": f"Bearer {key}"}
    assert hosted.http.get("/v1/models", headers=headers).status_code != 401
    assert "no more" in page.post("keys/proxy/revoke", name="laptop").json()["said"]
    assert hosted.http.get("/v1/models", headers=headers).status_code == 401


def test_a_refused_origin_is_listed_and_let_in(page: Page, hosted: Hosted) -> None:
    origin = "https://chat.example"
    assert hosted.http.get("/v1/models", headers={"Origin": origin}).status_code == 403
    assert page.get("keys")["refused_origins"] == [origin]
    assert page.post("origins/allow", origin=origin).json()["refused_origins"] == []
    assert hosted.services.store.current.proxy_allowed_origins == (origin,)


def test_no_tool_is_loaded_for_the_page_while_tools_are_off(page: Page, hosted: Hosted) -> None:
    state = page.get("tools")
    assert (state["is_on"], state["tools"], state["servers"]) == (False, [], [])
    assert hosted.services.tools._toolbox is None
    assert page.post("tools/call", name="calculate", arguments="{}").status_code == 409


def test_tools_are_listed_ruled_and_tried(page: Page, hosted: Hosted) -> None:
    hosted.services.store.update(enable_tool_execution=True)
    tool = next(each for each in page.get("tools")["tools"] if each["name"] == "calculate")
    assert (tool["rule"], tool["own_rule"], tool["source"]) == ("auto", None, "shipped")
    for rule in ("ask", "never", None):
        state = page.post("tools/rule", name="calculate", rule=rule).json()
        assert next(each["own_rule"] for each in state["tools"] if each["name"] == "calculate") == rule
    assert hosted.services.store.current.tool_consent == {}

    found = page.post("tools/call", name="calculate", arguments='{"expression": "6*7"}').json()
    assert (found["outcome"], "42" in found["result"]) == ("ok", True)
    assert page.post("tools/call", name="nothing", arguments="{}").json()["outcome"] == "unknown name"
    assert page.post("tools/call", name="calculate", arguments="{").json()["outcome"] == "bad arguments"


def test_a_server_that_does_not_come_up_says_its_last_words(page: Page, hosted: Hosted) -> None:
    path = paths.mcp_servers_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    words = "import sys; sys.exit('the licence is missing <b>now</b>')"
    path.write_text(json.dumps({"mcpServers": {"broken": {"command": "python3", "args": ["-c", words]}}}))
    hosted.services.store.update(enable_tool_execution=True)

    def down() -> Any:
        return next((each for each in page.get("tools")["servers"] if each["state"] == "down"), None)

    server = wait_for(down, "a server that is down", 30)
    assert (server["name"], server["way"], server["tools"]) == ("broken", "stdio", 0)
    assert re.search("exit code 1", server["problem"])
    assert server["last_words"] == ["the licence is missing <b>now</b>"]


@pytest.mark.parametrize("path", ["keys/set", "keys/proxy/new", "tools/call", "tools/rule", "learned/forget"])
def test_nothing_is_done_without_the_forms_token(hosted: Hosted, path: str) -> None:
    with hosted.enter() as client:
        for headers in ({}, {"X-Form-Token": "0" * 64}):
            assert client.post(f"/api/{path}", json={"name": "x"}, headers=headers).status_code == 403


def test_a_locked_keyring_is_told_and_read_once_it_is_unlocked(page: Page, hosted: Hosted) -> None:
    hosted.keychain.kept["upstream"] = KEY
    hosted.keychain.trouble = KeyringLocked("nobody has unlocked it")
    hosted.services.secrets.load()
    [row] = page.get("keys")["upstreams"]
    assert (row["is_locked"], row["is_set"]) == (True, False)
    assert "keyring is locked, so" in page.client.get("/").text
    refused = page.post("keys/unlock")
    assert (refused.status_code, "locked" in refused.json()["error"]) == (400, True)
    by_form = page.client.post("/key/unlock", data={"form_token": page.headers["X-Form-Token"]}).text
    assert "keyring is locked, so" in by_form

    hosted.keychain.trouble = None
    [row] = page.post("keys/unlock").json()["upstreams"]
    assert (row["is_locked"], row["is_set"]) == (False, True)
    assert "keyring is locked" not in page.client.get("/").text


def test_only_a_locked_keyring_is_asked_to_unlock(page: Page, hosted: Hosted) -> None:
    hosted.keychain.trouble = KeyringSilent("no answer")
    hosted.services.secrets.load()
    assert page.get("keys")["upstreams"][0]["is_locked"] is False
    assert page.post("keys/unlock").status_code == 200
    assert page.client.post("/api/keys/unlock").status_code == 403  # without the form token
