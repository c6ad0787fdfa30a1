"""What each click does, on a computer without a desktop: the proxy is real, and so is the lack of everything else."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.model_server import serving
from proxy import paths
from proxy.identity import TITLE
from proxy.install import applications, autostart
from proxy.keys.upstream_key import Keychain
from proxy.services import assemble
from proxy.upstream import discovery
from tray_app.commands import Commands
from tray_app.controller import ProxyController
from tray_app.menu import Line, walk
from tray_app.state import read_state
from tray_app.view import look


class Clicked:
    """The commands, and what came of them."""

    def __init__(self, keychain: Keychain) -> None:
        services = assemble({"proxy_port": 0, "openai_api_key": "sk-the-upstream-key"}, keychain=lambda: keychain)
        self.controller = ProxyController(services, lambda: None)
        self.store = services.store
        self.told: list[tuple[str, str]] = []
        self.quits = 0
        self.commands = Commands(self.controller, lambda title, text: self.told.append((title, text)), self.quit)

    def quit(self) -> None:
        self.quits += 1

    def click(self, key: str) -> str | None:
        """Click a line and return the trouble it made."""
        self.commands.run(key)
        return self.commands.problem


@pytest.fixture
def clicked() -> Iterator[Clicked]:
    made = Clicked(MemoryKeychain())
    yield made
    made.commands.close()
    made.controller.close()


def test_every_line_that_can_be_clicked_has_a_command(clicked: Clicked) -> None:
    state = read_state(clicked.controller, None, None, is_working=False)
    clickable = {line.key for line in walk(look(state).lines) if line.is_clickable}

    assert clickable - set(clicked.commands._by_key) == set()
    assert state.title == TITLE


def test_the_server_is_switched_on_and_off(clicked: Clicked) -> None:
    assert clicked.click("server") is None
    assert clicked.controller.base_url
    assert clicked.click("server") is None
    assert clicked.controller.base_url is None


def test_a_switch_is_kept_and_turned_back(clicked: Clicked) -> None:
    clicked.click("tools")
    assert clicked.store.current.enable_tool_execution is True
    clicked.click("tools")
    assert clicked.store.current.enable_tool_execution is False


def test_a_required_key_is_always_there_to_be_copied(clicked: Clicked) -> None:
    assert clicked.click("require-key") is None

    assert clicked.store.current.proxy_require_api_key
    assert clicked.controller.services.proxy_keys.current


def test_what_nothing_takes_is_shown_instead_and_the_next_click_clears_the_trouble(clicked: Clicked) -> None:
    clicked.controller.start()

    assert "The clipboard cannot be reached" in (clicked.click("copy-url") or "")
    assert clicked.told == [("No clipboard: copy this by hand", clicked.controller.base_url)]
    assert clicked.click("server") is None


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for another shell there")
def test_the_copied_command_is_one_for_the_shell_and_brings_its_key(clicked: Clicked) -> None:
    plain = shlex.split(clicked.commands.curl())
    clicked.click("require-key")
    with_key = shlex.split(clicked.commands.curl())

    assert plain[0] == "curl"
    assert json.loads(plain[-1])["messages"]
    key = clicked.controller.services.proxy_keys.current[0].key
    assert set(with_key) - set(plain) == {f"Authorization: Bearer {key}"}


def test_the_command_for_powershell_asks_the_same_and_brings_its_key(clicked: Clicked) -> None:
    plain = clicked.commands.powershell()
    clicked.click("require-key")
    with_key = clicked.commands.powershell()

    head, _, body = plain.partition(" -ContentType 'application/json' -Body ")
    assert head == f"Invoke-RestMethod -Method Post -Uri '{clicked.controller.tools_url}/chat/completions'"
    assert json.loads(body.strip("'"))["messages"]
    key = clicked.controller.services.proxy_keys.current[0].key
    assert with_key == plain.replace(" -ContentType", f" -Headers @{{ Authorization = 'Bearer {key}' }} -ContentType")


@pytest.mark.parametrize("key", ["view-logs", "log-folder", "dashboard", "doctor", "documentation", "settings-file"])
def test_what_cannot_be_opened_is_trouble_and_no_failure(
    clicked: Clicked, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no browser, no viewer

    assert "It could not be opened" in (clicked.click(key) or "")


def test_the_settings_file_is_made_for_its_owner_alone(clicked: Clicked) -> None:
    clicked.click("settings-file")

    assert paths.settings_file().read_text().startswith("#")
    assert clicked.store.current == assemble({"proxy_port": 0, "openai_api_key": "sk-the-upstream-key"}).store.current


def test_quit_is_handed_on(clicked: Clicked) -> None:
    clicked.click("quit")

    assert clicked.quits == 1


# --- a settings file that is wrong ------------------------------------------------------------------------------------


@pytest.fixture
def wrong() -> Iterator[Clicked]:
    paths.settings_file().parent.mkdir(parents=True)
    paths.settings_file().write_text("# mine\nenable_tool_exection = true\n")
    made = Clicked(MemoryKeychain())
    yield made
    made.commands.close()
    made.controller.close()


def test_the_menu_says_what_is_wrong_with_the_file_and_that_nothing_is_relayed(wrong: Clicked) -> None:
    wrong.controller.start()

    shown = look(read_state(wrong.controller, None, None, is_working=False))

    labels = [line.label for line in walk(shown.lines)]
    assert shown.icon == "error"
    assert labels[0] == "Nothing is relayed: the settings file is wrong"
    assert " ".join(labels[1:3]).startswith("Settings file error: settings.toml, line 2: enable_tool_exection is no")
    assert not any("api.openai.com" in label for label in labels)


@pytest.mark.parametrize("key", ["tools", "require-key"])
def test_a_click_that_needs_the_file_is_refused_with_the_reason(wrong: Clicked, key: str) -> None:
    before = paths.settings_file().read_bytes()

    assert "line 2: enable_tool_exection is no setting" in (wrong.click(key) or "")
    assert paths.settings_file().read_bytes() == before
    assert not wrong.store.is_known


def test_a_click_after_the_file_was_mended_puts_all_of_it_in_force(wrong: Clicked) -> None:
    paths.settings_file().write_text("proxy_require_api_key = true\n")

    assert wrong.click("tools") is None

    assert wrong.store.chosen.proxy_require_api_key
    assert wrong.store.chosen.enable_tool_execution
    assert look(read_state(wrong.controller, None, None, is_working=False)).icon == "stopped"


def test_a_link_that_leads_nowhere_is_not_filled(clicked: Clicked, tmp_path: Path) -> None:
    paths.settings_file().parent.mkdir(parents=True)
    paths.settings_file().symlink_to(tmp_path / "disk" / "settings.toml")

    clicked.click("settings-file")

    assert not (tmp_path / "disk").exists()


def test_start_at_login_is_switched_in_the_system_itself(clicked: Clicked) -> None:
    assert clicked.click("autostart") is None
    assert autostart.status().is_on
    assert "Start at login" in checked(clicked)

    assert clicked.click("autostart") is None
    assert not autostart.status().is_on
    assert "Start at login" not in checked(clicked)


def test_what_another_program_does_to_the_start_at_login_shows_in_the_menu(clicked: Clicked) -> None:
    clicked.click("autostart")
    autostart.switch_off()

    assert "Start at login" not in checked(clicked)


def test_a_start_at_login_that_cannot_be_switched_on_is_said(clicked: Clicked) -> None:
    folder = autostart.entry_file().parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")

    assert "The desktop could not be changed" in (clicked.click("autostart") or "")


def test_the_launcher_is_offered_until_it_is_there(clicked: Clicked) -> None:
    assert "Add to applications menu" in labels(clicked)

    assert clicked.click("add-launcher") is None

    assert applications.is_added()
    assert "Add to applications menu" not in labels(clicked)


@pytest.fixture
def llama_cpp(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run what answers as llama.cpp does, on one of the ports that are looked at; return its base URL."""
    answers = {
        "/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "llamacpp"}]},
        "/props": {"default_generation_settings": {}},
    }
    with serving(answers) as port:
        monkeypatch.setattr(discovery, "PORTS", (port,))
        yield f"http://127.0.0.1:{port}/v1"


def test_a_server_that_is_found_becomes_an_upstream_and_is_chosen(clicked: Clicked, llama_cpp: str) -> None:
    assert clicked.click("find-upstreams") is None
    assert clicked.told[-1][1].startswith("llama.cpp: add them")
    assert f"Add llama.cpp, {llama_cpp}" in labels(clicked)

    assert clicked.click(f"add-upstream {llama_cpp}") is None
    row = clicked.store.current.proxy_upstreams[0]
    assert (row.name, row.base_url) == ("llama-cpp", llama_cpp)
    assert {"llama-cpp: healthy", "Nothing found"} <= labels(clicked)

    assert clicked.click("use-upstream llama-cpp") is None
    assert clicked.store.current.chosen_upstream is clicked.store.current.upstreams[1]
    assert "llama-cpp: healthy" in checked(clicked)
    assert clicked.click("find-upstreams") is None
    assert clicked.told[-1][1] == "No other one answers on its usual port."


def test_a_name_that_is_taken_gets_a_number(clicked: Clicked, llama_cpp: str) -> None:
    clicked.store.update(proxy_upstreams=[{"name": "llama-cpp", "base_url": "http://127.0.0.1:1/v1"}])
    clicked.click("find-upstreams")
    clicked.click(f"add-upstream {llama_cpp}")

    assert [row.name for row in clicked.store.current.proxy_upstreams] == ["llama-cpp", "llama-cpp-2"]


def lines_of(clicked: Clicked) -> list[Line]:
    return list(walk(look(read_state(clicked.controller, None, None, is_working=False)).lines))


def checked(clicked: Clicked) -> set[str]:
    return {line.label for line in lines_of(clicked) if line.checked}


def labels(clicked: Clicked) -> set[str]:
    return {line.label for line in lines_of(clicked)}


def test_capture_is_paused_by_a_click_and_goes_on_with_the_next(clicked: Clicked) -> None:
    def is_checked() -> list[bool]:
        lines = walk(look(read_state(clicked.controller, None, None, is_working=False)).lines)
        return [line.checked for line in lines if line.key == "pause-capture"]

    assert is_checked() == [False]
    assert clicked.click("pause-capture") is None
    assert is_checked() == [True]
    assert clicked.controller.services.capture.is_paused
    clicked.click("pause-capture")
    assert is_checked() == [False]
    clicked.store.update(proxy_capture=False)
    assert is_checked() == []


@pytest.mark.parametrize("name", ["calculate", "files__read", "a-b_C9"])
def test_a_click_switches_one_tool_off_and_on_again(clicked: Clicked, name: str) -> None:
    assert clicked.click(f"turn-tool {name}") is None
    assert clicked.store.current.tool_off == {"*": [name]}

    assert clicked.click(f"turn-tool {name}") is None
    assert clicked.store.current.tool_off == {}


def test_a_tool_that_a_pattern_switches_off_says_so(clicked: Clicked) -> None:
    clicked.store.update(tool_off={"*": ["files__*"]})

    assert "files__*" in (clicked.click("turn-tool files__read") or "")
