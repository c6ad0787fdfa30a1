"""Tools switched off one by one, for everybody or for one client: they are offered to nobody else's model."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import Fresh
from proxy.errors.configuration import SettingError
from proxy.tools.switches import cost_of, is_off, off_for, turned
from proxy.tools.tool import Tool
from tray_app.state import cost_words, tool_choices
from tray_app.tray_state import ToolChoice

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
RESPONSE = {"model": "m", "input": "Hi"}
SHIPPED = {"calculate", "convert_units", "current_time"}


@pytest.fixture(scope="module")
def hosted(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    settings = {"openai_base_url": provider.base_url, "openai_api_key": "k", "enable_tool_execution": True}
    with Hosted(settings_file=file, **settings) as proxy:
        proxy.services.tools.start()
        yield proxy


@pytest.fixture(autouse=True)
def all_on(hosted: Hosted) -> None:
    hosted.services.store.update(tool_off=None)


def offered(hosted: Hosted, upstream: Fresh, path: str, body: dict[str, Any], agent: str) -> set[str]:
    """Return the names of our tools that a client's model is offered."""
    httpx2.post(f"{hosted.base_url}{path}", json=body, headers={"User-Agent": agent}, trust_env=False)
    sent = upstream.requests[-1].json().get("tools", [])
    return {(tool.get("function") or tool)["name"] for tool in sent}


@pytest.mark.parametrize(
    ("off", "zed", "aider"),
    [
        ({"*": ["calculate"]}, SHIPPED - {"calculate"}, SHIPPED - {"calculate"}),
        ({"aider": ["*"]}, SHIPPED, set()),
        ({"Zed/*": ["c*"], "nobody": ["*"]}, {"current_time"} & SHIPPED - {"current_time"}, SHIPPED),
    ],
)
@pytest.mark.parametrize(("path", "body"), [("/chat/completions", CHAT), ("/responses", RESPONSE)])
def test_a_tool_that_is_off_is_not_offered(
    hosted: Hosted,
    upstream: Fresh,
    path: str,
    body: dict[str, Any],
    off: dict[str, list[str]],
    zed: set[str],
    aider: set[str],
) -> None:
    everything = offered(hosted, upstream, path, body, "curl/8")
    hosted.services.store.update(tool_off=off)

    assert everything == set(hosted.services.tools.known())
    assert offered(hosted, upstream, path, body, "Zed/0.9") == zed & everything
    assert offered(hosted, upstream, path, body, "aider/0.86") == aider & everything


def test_a_client_is_known_by_the_name_of_its_key_too() -> None:
    off = {"Claude Code": ["shell"]}

    assert is_off(off, "shell", ("axios/1.0", "Claude Code"))
    assert not is_off(off, "shell", ("axios/1.0", "Zed"))
    assert not is_off(off, "shell", ("axios/1.0", None))


@pytest.mark.parametrize(
    ("before", "client", "on", "after"),
    [
        ({}, "*", False, {"*": ["a"]}),
        ({"*": ["b"]}, "*", False, {"*": ["b", "a"]}),
        ({"*": ["a"]}, "*", False, {"*": ["a"]}),
        ({"*": ["a"], "zed": ["a"]}, "*", True, {"zed": ["a"]}),
        ({"zed": ["a", "b"]}, "zed", True, {"zed": ["b"]}),
    ],
)
def test_a_switch_changes_its_own_client_alone(
    before: dict[str, list[str]], client: str, on: bool, after: dict[str, list[str]]
) -> None:
    assert turned(before, "a", client, on=on) == after


@pytest.mark.parametrize("pattern", ["*", "f*", "files_[rw]*"])
def test_what_a_pattern_switches_off_is_not_switched_on_one_by_one(pattern: str) -> None:
    with pytest.raises(SettingError) as refused:
        turned({"*": [pattern]}, "files_read", "*", on=True)
    assert pattern in str(refused.value)
    assert off_for({"*": [pattern]}, "files_read") == ["*"]


def test_what_a_tool_adds_is_counted_as_it_is_sent(hosted: Hosted, upstream: Fresh) -> None:
    tools = list(hosted.services.tools.known().values())
    offered(hosted, upstream, "/chat/completions", CHAT, "curl/8")
    sent = upstream.requests[-1].json()["tools"]
    text = json.dumps(sent, separators=(",", ":"))

    assert abs(cost_of(*tools).size_bytes - len(text)) <= 2
    assert cost_of(*tools).tokens == -(-cost_of(*tools).size_bytes // 4)


def test_the_page_lists_tools_and_switches_them(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        before = browser.get("/api/tools").json()
        name = before["tools"][0]["name"]
        off = switch(browser, name=name, on=False).json()
        for_one = switch(browser, name=name, on=False, client="zed").json()

    [tool] = [each for each in for_one["tools"] if each["name"] == name]
    assert before["is_on"]
    assert before["bytes"] == sum(each["bytes"] for each in before["tools"])
    assert off["bytes"] == before["bytes"] - tool["bytes"]
    assert (tool["is_on"], tool["off_for"]) == (False, ["*", "zed"])


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"name": "no_such_tool", "on": True}, 404),
        ({"name": "calculate", "on": "yes"}, 400),
        ({"name": "calculate", "on": True, "client": " "}, 400),
        ({"on": False}, 400),
    ],
)
def test_a_wrong_wish_is_refused(hosted: Hosted, wish: dict[str, Any], status: int) -> None:
    with hosted.enter() as browser:
        answer = switch(browser, **wish)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert hosted.services.store.current.tool_off == {}


def test_without_the_forms_token_nothing_is_switched(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        assert browser.post("/api/tools/switch", json={"name": "calculate", "on": False}).status_code == 403
    assert hosted.services.store.current.tool_off == {}


def switch(browser: httpx2.Client, **wish: Any) -> httpx2.Response:
    """Ask for a switch as the page does."""
    headers = {"X-Form-Token": form_token(browser.get("/").text)}
    return browser.post("/api/tools/switch", json=wish, headers=headers)


def test_the_menu_shows_a_switch_for_each_and_what_they_add() -> None:
    tools = [Tool(name, "Do it", {}, print) for name in ("one", "two", "three")]

    assert tool_choices(["one", "two"], {"*": ["tw?"], "zed": ["one"]}) == (
        ToolChoice("one", is_on=True),
        ToolChoice("two", is_on=False),
    )
    assert cost_words(cost_of(*tools)) == "They add 0.3 kB (about 64 tokens) to each request"
