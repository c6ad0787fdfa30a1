"""How the tray looks, from state alone."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from proxy.errors.keyring import KeyringLocked
from proxy.flow.health import Health
from proxy.keys.upstream_key import KeyState
from proxy.usage.spending import Spent, today_words
from tray_app.menu import Line, walk
from tray_app.tray_state import FoundHere, ToolChoice, TrayState, UpstreamChoice
from tray_app.view import look

NOON = datetime(2026, 3, 1, 12, 5).astimezone().timestamp()
HEALTHY = TrayState(
    title="Tray",
    version="1.2",
    base_url="http://127.0.0.1:8000/v1",
    start_problem=None,
    key=KeyState("sk-a-key-of-the-upstream", "keyring"),
    needs_no_key=False,
    health=Health(),
    is_working=False,
    upstream="https://api.openai.com/v1",
    tools_on=False,
    tools_fixed_by=None,
    key_required=False,
    key_required_fixed_by=None,
    pending_tools=(),
    click_problem=None,
    settings_problem=None,
    settings_known=True,
    log_problem=None,
    other_port=None,
)
STOPPED = {"base_url": None}
TAKEN = {"base_url": None, "start_problem": "Port 8000 is taken by nginx (process 7)"}
KEYLESS = {"key": KeyState()}
UNKNOWN = {"settings_problem": "line 1", "settings_known": False}


@pytest.mark.parametrize(
    ("changes", "status", "icon"),
    [
        ({}, "Running on http://127.0.0.1:8000/v1", "running"),
        ({"is_working": True}, "Running on http://127.0.0.1:8000/v1", "working"),
        (STOPPED, "Stopped", "stopped"),
        (TAKEN, "Port 8000 is taken by nginx (process 7)", "error"),
        (KEYLESS, "No provider key", "attention"),
        (KEYLESS | {"needs_no_key": True}, "Running on http://127.0.0.1:8000/v1", "running"),
        (KEYLESS | STOPPED, "Stopped", "stopped"),
        ({"health": Health("key refused")}, "Upstream refuses the key", "error"),
        ({"health": Health("rate limited", until=NOON)}, "Rate limited until 12:05", "attention"),
        ({"health": Health("unreachable", "no route")}, "Upstream unreachable", "attention"),
        ({"health": Health("failing", "status 500")}, "Upstream failing", "attention"),
        ({"health": Health("unsafe", "bad certificate")}, "Upstream unsafe", "error"),
        ({"pending_tools": ("write_file",)}, "Running on http://127.0.0.1:8000/v1", "attention"),
        ({"settings_problem": "it was broken"}, "Running on http://127.0.0.1:8000/v1", "attention"),
        (UNKNOWN, "Nothing is relayed: the settings file is wrong", "error"),
        (UNKNOWN | KEYLESS, "Nothing is relayed: the settings file is wrong", "error"),
        (UNKNOWN | STOPPED, "Stopped", "stopped"),
        (UNKNOWN | TAKEN, "Port 8000 is taken by nginx (process 7)", "error"),
        ({"log_problem": "a full disk"}, "Running on http://127.0.0.1:8000/v1", "attention"),
    ],
)
def test_status_tooltip_and_icon_tell_the_gravest_thing(changes: dict, status: str, icon: str) -> None:
    shown = look(replace(HEALTHY, **changes))

    assert line(shown.lines, "status").label == status
    assert (shown.title, shown.status) == ("Tray", status)
    assert shown.tooltip == f"Tray: {status}"
    assert shown.icon == icon
    assert shown.attention == (icon in ("attention", "error"))


def line(lines: tuple[Line, ...], key: str) -> Line:
    (found,) = [line for line in lines if line.key == key]
    return found


@pytest.mark.parametrize(
    ("changes", "key", "label"),
    [
        ({"click_problem": "It could not be opened."}, "note-click", "It could not be opened."),
        (
            {"settings_problem": "line 1"},
            "note-settings",
            "Settings file error, last good settings in force: line 1",
        ),
        (UNKNOWN, "note-settings", "Settings file error: line 1"),
        ({"log_problem": "a full disk"}, "note-log", "The log cannot be written: a full disk"),
        ({"key": KeyState(problem=KeyringLocked("x"))}, "note-keyring", "The system's keyring is locked"),
    ],
)
def test_what_is_wrong_besides_stands_below_the_status(changes: dict, key: str, label: str) -> None:
    lines = look(replace(HEALTHY, **changes)).lines

    assert line(lines, key) == Line(key, label, enabled=False)
    assert [line.key for line in lines].index(key) == 1
    assert [line.key for line in look(HEALTHY).lines][1] == "between-1"


def test_a_long_text_is_broken_into_lines_and_cut_after_four() -> None:
    path = "/home/me/a-rather-long-name/settings.toml"
    lines = look(replace(HEALTHY, click_problem=f"It could not be opened: xdg-open failed. Open {path} by hand.")).lines
    assert [line.label for line in lines if line.key.startswith("note-click")] == [
        "It could not be opened: xdg-open failed. Open",
        f"{path} by hand.",
    ]

    lines = look(replace(HEALTHY, start_problem="long " * 100)).lines
    four = [line.key for line in lines].index("between-1")
    assert [line.key for line in lines[:four]] == ["status", "status-2", "status-3", "status-4"]
    assert lines[3] == Line("status-4", " ".join(["long"] * 12) + "…", enabled=False)


def test_switches_show_what_is_on_and_what_fixes_them() -> None:
    lines = look(replace(HEALTHY, tools_on=True, tools_fixed_by="environment", key_required=True)).lines

    assert line(lines, "server").checked is True
    assert line(lines, "require-key") == Line("require-key", "Require a proxy key", "check", checked=True)
    tools = line(lines, "tools")
    assert (tools.label, tools.checked, tools.enabled) == (
        "Let the model use tools (fixed by the environment)",
        True,
        False,
    )


def test_another_port_is_offered_where_there_is_one() -> None:
    lines = look(replace(HEALTHY, **TAKEN, other_port=8001)).lines

    assert line(lines, "other-port").label == "Use port 8001 instead"
    assert line(lines, "server").checked is False


@pytest.mark.parametrize(
    ("asking", "label"),
    [
        (("write_file",), "A tool asks to run: write_file…"),
        (("write_file", "send_mail", "x"), "A tool asks to run: write_file… and 2 more"),
    ],
)
def test_a_tool_that_asks_has_a_line_to_click(asking: tuple[str, ...], label: str) -> None:
    shown = line(look(replace(HEALTHY, pending_tools=asking)).lines, "question")

    assert (shown.label, shown.is_clickable) == (label, True)


def test_a_click_on_the_icon_opens_the_dashboard() -> None:
    assert look(HEALTHY).default_key == "dashboard"


@pytest.mark.parametrize(
    "field", ["start_problem", "click_problem", "settings_problem", "log_problem", "upstream", "base_url"]
)
def test_no_login_is_in_the_menu_however_its_lines_are_broken(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:a very long password with Winter2026x@proxy:3128")
    said = "it is said somewhere at http://anna:a very long password with Winter2026x@proxy:3128, http://bob:s3cr3t@b"

    shown = look(replace(HEALTHY, **{field: said}))

    text = repr(shown)
    assert "…@proxy:3128" in text.replace(" ", "") or field == "base_url"
    for secret in ("anna", "Winter2026x", "very", "bob", "s3cr3t"):
        assert secret not in text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "Running on http://127.0.0.1:8000/v1, via groq"),
        ({"health": Health("key refused")}, "Upstream groq refuses the key"),
        ({"health": Health("failing", "status 500")}, "Upstream groq failing"),
        ({"health": Health("rate limited", until=NOON)}, "Rate limited until 12:05, by groq"),
        (KEYLESS, "No provider key for groq"),
    ],
)
def test_the_status_names_the_chosen_one_of_several(changes: dict, status: str) -> None:
    choices = (UpstreamChoice("openai", False, "healthy"), UpstreamChoice("groq", True, "healthy"))

    assert look(replace(HEALTHY, upstreams=choices, **changes)).status == status


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (None, [("find-upstreams", "Look for them")]),
        ((), [("found-none", "Nothing found"), ("find-upstreams", "Look again")]),
        (
            (FoundHere("ollama", "Ollama", "http://127.0.0.1:11434/v1"),),
            [
                ("add-upstream http://127.0.0.1:11434/v1", "Add Ollama, http://127.0.0.1:11434/v1"),
                ("find-upstreams", "Look again"),
            ],
        ),
    ],
)
def test_what_is_found_here_can_be_added(found: tuple[FoundHere, ...] | None, lines: list[tuple[str, str]]) -> None:
    shown = look(replace(HEALTHY, found_here=found))
    menu = next(line for line in walk(shown.lines) if line.key == "found-here")

    assert [(each.key, each.label) for each in menu.children] == lines


def test_a_long_state_fits_the_menu() -> None:
    choices = (UpstreamChoice("openai", True, "healthy"), UpstreamChoice("groq", False, "failing: " + "x" * 100))
    menu = next(line for line in look(replace(HEALTHY, upstreams=choices)).lines if line.key == "upstream")

    labels = [line.label for line in menu.children if line.kind == "radio"]
    assert labels[0] == "openai: healthy"
    assert len(labels[1]) <= 60


def test_several_upstreams_are_radio_lines_with_their_state() -> None:
    choices = (UpstreamChoice("openai", True, ""), UpstreamChoice("groq", False, "no key"))
    shown = look(replace(HEALTHY, upstreams=choices))
    menu = next(line for line in shown.lines if line.key == "upstream")
    radios = [(line.key, line.label, line.checked) for line in menu.children if line.kind == "radio"]
    assert menu.label == "Upstream: openai"
    assert radios == [("use-upstream openai", "openai", True), ("use-upstream groq", "groq: no key", False)]
    assert shown.status.endswith(", via openai")


def test_a_choice_of_the_environment_cannot_be_clicked() -> None:
    choices = (UpstreamChoice("openai", True, ""), UpstreamChoice("groq", False, ""))
    shown = look(replace(HEALTHY, upstreams=choices, upstream_fixed_by="environment"))
    menu = next(line for line in shown.lines if line.key == "upstream")
    assert [line.is_clickable for line in menu.children if line.kind == "radio"] == [False, False]


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        (Spent(212, 1_240_000, 3.4099), "Today 1.2 M tokens · $3.41 · 212 requests"),
        (Spent(1, 950, 0.0), "Today 950 tokens · $0.00 · 1 request"),
        (Spent(3, 12_400, 0.0, unpriced=3), "Today 12.4 k tokens · cost unknown · 3 requests"),
        (Spent(3, 2_000_000_000, 1234.5, unpriced=1), "Today 2.0 G tokens · $1,234.50+ · 3 requests"),
        (Spent(), "Today: no requests yet"),
    ],
)
def test_what_today_used_is_said_in_one_line(spent: Spent, words: str) -> None:
    assert today_words(spent) == words


def test_what_today_used_is_the_second_line() -> None:
    first, second, *_ = look(replace(HEALTHY, today="Today 1.2 M tokens")).lines
    assert (first.key, second.key, second.label, second.enabled) == ("status", "today", "Today 1.2 M tokens", False)


@pytest.mark.parametrize(("paused", "shown"), [(None, []), (False, [False]), (True, [True])])
def test_capture_is_paused_by_a_check_line_where_it_is_on(paused: bool | None, shown: list[bool]) -> None:
    lines = look(replace(HEALTHY, capture_paused=paused)).lines
    assert [line.checked for line in lines if line.key == "pause-capture"] == shown


# --- tools ------------------------------------------------------------------------------------------------------------

TOOLS = (ToolChoice("calculate", is_on=True), ToolChoice("shell", is_on=False))


def test_each_tool_has_a_switch_of_its_own_and_the_menu_says_what_they_add() -> None:
    state = replace(HEALTHY, tools_on=True, tools=TOOLS, tools_cost="They add 1 kB")

    [menu] = [line for line in look(state).lines if line.key == "tools-menu"]

    assert menu.label == "Tools: 1 of 2 on"
    shown = [(line.key, line.checked) for line in menu.children if line.kind == "check"]
    assert shown == [("turn-tool calculate", True), ("turn-tool shell", False)]
    assert menu.children[-1].label == "They add 1 kB"


@pytest.mark.parametrize("changes", [{"tools": TOOLS, "tools_on": False}, {"tools": (), "tools_on": True}])
def test_there_is_no_menu_of_tools_without_tools(changes: dict[str, Any]) -> None:
    assert not [line for line in look(replace(HEALTHY, **changes)).lines if line.key == "tools-menu"]


def test_a_long_list_of_tools_is_cut_and_a_fixed_one_cannot_be_clicked() -> None:
    many = tuple(ToolChoice(f"tool_{number}", is_on=True) for number in range(40))
    state = replace(HEALTHY, tools_on=True, tools=many, tool_off_fixed_by="environment")

    [menu] = [line for line in look(state).lines if line.key == "tools-menu"]

    checks = [line for line in menu.children if line.kind == "check"]
    assert len(checks) == 30
    assert not any(line.enabled for line in checks)
    assert "10 more: see TOOL_OFF in the settings" in [line.label for line in menu.children]


@pytest.mark.parametrize("version", ["0.2.0", "1.0", "99.1"])
def test_a_newer_version_has_a_line(version: str) -> None:
    labels = [line.label for line in look(replace(HEALTHY, newer_version=version)).lines if line.key == "newer-version"]

    assert labels == [f"Version {version} is available…"]
    assert "newer-version" not in [line.key for line in look(HEALTHY).lines]
