"""Bad surroundings: the tray program starts, serves what it can, and says in its menu what is wrong."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
import tomllib

from desktop.panel_side import PanelSide
from desktop.processes import keyring
from desktop.tray_user import APP_ID, Tray
from fakes.ports import free_port
from fakes.terminal import TerminalProgram
from waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where a keyring of its own lives, shortly: the address of its socket may be 107 bytes long.
OWN = {"HOME": "own", "XDG_DATA_HOME": "data", "XDG_RUNTIME_DIR": "own"}


def test_without_a_display_the_menu_says_that_nothing_can_be_copied(tray: Tray) -> None:
    tray.start(DISPLAY="").wait_until_it_runs()

    tray.click("copy-url")

    assert tray.wait_for_line("The clipboard cannot be reached: there is no desktop")
    assert tray.is_serving()


@pytest.mark.parametrize("arguments", [(), ("--tray", "none"), ("--tray", "sni"), ("--tray", "pystray")])
def test_without_a_desktop_it_serves_and_prints_the_way_to_its_page(
    tray: Tray, page: httpx2.Client, arguments: tuple[str, ...]
) -> None:
    program = tray.launch(*arguments, kind=TerminalProgram, DISPLAY="", DBUS_SESSION_BUS_ADDRESS="")

    link = wait_for(lambda: re.search(r"http://\S+/ui/enter\S+", program.printed), "the link")

    assert link
    assert "There is no system tray" in program.printed
    assert page.get(link[0]).status_code == 303
    assert tray.is_serving()
    program.send(signal.SIGTERM)
    assert program.ended() == 0


def test_what_is_no_terminal_is_told_the_command_for_a_link(tray: Tray) -> None:
    program = tray.launch(DISPLAY="", DBUS_SESSION_BUS_ADDRESS="")

    wait_for(lambda: "`openai-tray-proxy page` prints a link" in program.printed, "the command")

    assert "ticket" not in program.printed


def test_without_a_panel_it_serves_and_after_a_while_prints_the_way_to_its_page(
    tray: Tray, page: httpx2.Client, bare_bus: str
) -> None:
    tray.start_without_panel(bare_bus, kind=TerminalProgram).wait_until_it_runs()

    link = wait_for(lambda: re.search(r"http://\S+/ui/enter\S+", tray.program.printed), "the link")

    assert link
    assert "no panel shows icons yet" in tray.program.printed
    assert page.get(link[0]).status_code == 303
    assert tray.chat() == 200


def test_where_there_is_no_keyring_the_menu_says_so(tray: Tray, bare_bus: str) -> None:
    tray.start_without_panel(bare_bus, OPENAI_API_KEY="", OPENAI_BASE_URL="https://upstream.invalid/v1")

    assert tray.wait_for_status("No provider key")
    assert tray.wait_for_line("This system offers no safe keyring")
    assert tray.chat() == 503


def test_where_there_is_no_keyring_an_upstream_on_this_computer_is_asked_without_a_key(
    tray: Tray, bare_bus: str
) -> None:
    tray.start_without_panel(bare_bus, OPENAI_API_KEY="")

    assert tray.wait_for_line("This system offers no safe keyring")
    assert tray.wait_for_status("Running on")
    assert tray.chat() == 200


def test_a_proxy_key_that_cannot_be_kept_is_not_required_and_the_menu_says_why(tray: Tray, bare_bus: str) -> None:
    tray.start_without_panel(bare_bus).wait_until_it_runs()

    tray.click("require-key")

    assert tray.wait_for_line("This system offers no safe keyring")
    assert tray.menu().find("require-key").checked is False
    assert tray.chat() == 200


def test_a_keyring_that_comes_after_the_program_gives_its_key(tray: Tray, bare_bus: str) -> None:
    own = {name: str(tray.home / folder) for name, folder in OWN.items()}
    env = {**tray.desktop.env, **own, "DBUS_SESSION_BUS_ADDRESS": bare_bus}
    with keyring(env):
        attributes = ["service", APP_ID, "username", "upstream", "application", "Python keyring library"]
        command = ["secret-tool", "store", "--label=key", *attributes]
        wait_for(
            lambda: subprocess.run(command, env=env, input=b"sk-kept-before-login", timeout=5).returncode == 0,
            "a key in the keyring",
        )
    tray.start_without_panel(bare_bus, OPENAI_API_KEY="")
    tray.wait_for_line("This system offers no safe keyring")

    with keyring(env):
        tray.wait_until_it_runs()

        assert tray.chat() == 200


@contextmanager
def locked_keyring(env: "Mapping[str, str]") -> Iterator[None]:
    """Run a keyring that nobody can unlock: there is no program to ask for its password."""
    bus = PanelSide(env["DBUS_SESSION_BUS_ADDRESS"])
    try:
        with keyring(env):
            wait_for(lambda: bus.has_owner("org.freedesktop.secrets"), "a keyring")
            bus.lock_keyring()
            yield
    finally:
        bus.close()


def test_where_the_keyring_is_locked_the_menu_says_so(tray: Tray, bare_bus: str) -> None:
    own = {name: str(tray.home / folder) for name, folder in OWN.items()}
    with locked_keyring({**tray.desktop.env, **own, "DBUS_SESSION_BUS_ADDRESS": bare_bus}):
        tray.start_without_panel(bare_bus, OPENAI_API_KEY="")

        assert tray.wait_for_status("No provider key")
        assert tray.wait_for_line("The system's keyring is locked")
        assert tray.chat() == 503


def test_a_taken_port_is_named_and_another_one_offered(tray: Tray) -> None:
    with tray.taken_port():
        status = tray.start().wait_for_status(f"Port {tray.port} is taken by ")
        assert "python" in status
        assert tray.bus.read_item(tray.item, "Status") == "NeedsAttention"
        offered = re.search(r"Use port (\d+) instead", tray.menu().find("other-port").label)
        assert offered

        tray.click("other-port")

        assert tray.wait_until_it_runs() == f"http://127.0.0.1:{offered[1]}/v1"
    assert tomllib.loads(tray.settings_file.read_text())["proxy_port"] == int(offered[1])


def test_another_port_that_is_taken_meanwhile_is_not_kept(tray: Tray) -> None:
    with tray.taken_port():
        tray.start().wait_for_status("is taken by")
        before = tray.settings_file.read_text()
        offered = int(re.findall(r"\d+", tray.menu().find("other-port").label)[0])
        with socket.create_server(("127.0.0.1", offered)):
            tray.click("other-port")

            assert tray.wait_for_line(f"A setting is wrong: port {offered} is taken by")
        assert tray.settings_file.read_text() == before


def test_a_taken_port_that_is_given_back_can_be_switched_on(tray: Tray) -> None:
    with tray.taken_port():
        tray.start("--port", str(tray.port)).wait_for_status("is taken by")
        assert "other-port" not in [line.key for line in tray.menu().children]  # the port is fixed

    tray.click("server")

    tray.wait_until_it_runs()
    assert tray.is_serving()


def test_a_broken_settings_file_has_nothing_relayed_and_the_menu_names_the_line(tray: Tray) -> None:
    text = "proxy_port = = 1\nenable_tool_execution = true\n"
    tray.write_settings(text)

    tray.start("--port", str(tray.port)).wait_for_status("Nothing is relayed: the settings file is wrong")

    assert tray.is_serving()
    assert tray.chat() == 503
    assert tray.menu().find("tools").checked is False
    assert tray.wait_for_line("Settings file error: settings.toml, line 1: this is not valid TOML")
    assert tray.settings_file.read_text() == text


def test_a_wrong_setting_in_the_file_leaves_the_last_good_ones_and_the_menu_names_it(tray: Tray) -> None:
    tray.write_settings("tool_timeout = 7\nenable_tool_execution = true\n")
    tray.start("--port", str(tray.port)).wait_until_it_runs()
    tray.click("quit")
    tray.program.process.wait(5)
    text = 'tool_timeout = "long"\n'
    tray.write_settings(text)
    tray.start("--port", str(tray.port)).wait_until_it_runs()
    assert tray.wait_for_line("Settings file error, last good settings in force: settings.toml, line 1: ")
    assert tray.menu().find("tools").checked is True

    tray.click("require-key")

    assert tray.wait_for_line("TOOL_TIMEOUT is 'long'")
    assert tray.menu().find("require-key").checked is False
    assert tray.settings_file.read_text() == text
    assert tray.chat() == 200


def test_a_settings_file_edited_by_hand_counts_and_its_mistake_stands_in_the_menu_until_it_is_mended(
    tray: Tray,
) -> None:
    port = f"proxy_port = {tray.port}\n"
    tray.start().wait_until_it_runs()

    tray.write_settings(f"{port}enable_tool_execution = true\n")
    wait_for(lambda: tray.menu().find("tools").checked, "the menu shows the edit")
    tray.write_settings(f"{port}enable_tool_execution = maybe\n")
    tray.wait_for_line("Settings file error, last good settings in force: settings.toml, line 2: ")
    assert tray.bus.read_item(tray.item, "Status") == "NeedsAttention"
    assert tray.menu().find("tools").checked is True
    tray.port = free_port()
    tray.write_settings(f"proxy_port = {tray.port}\n")

    tray.wait_for_status(f"Running on http://127.0.0.1:{tray.port}/v1")
    assert not any("Settings file error" in label for label in tray.labels())
    assert tray.menu().find("tools").checked is False
    assert tray.is_serving()
    tray.click("dashboard")
    assert tray.opened().startswith(f"http://127.0.0.1:{tray.port}/")


def test_a_switch_that_cannot_be_kept_is_undone_and_the_menu_says_why(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    shutil.rmtree(tray.settings_file.parent)
    tray.settings_file.parent.write_text("a file where the folder should be")

    tray.click("tools")

    assert tray.wait_for_line("Not a directory")
    assert tray.menu().find("tools").checked is False


def test_a_log_that_cannot_be_written_keeps_nobody_from_serving_and_the_menu_says_so(
    tray: Tray, page: httpx2.Client
) -> None:
    (tray.home / "xdg_state_home").mkdir(exist_ok=True)
    (tray.home / "xdg_state_home" / APP_ID).write_text("a file where the folder should be")

    tray.start().wait_until_it_runs()

    assert tray.wait_for_line("The log cannot be written: ")
    assert tray.is_serving()
    tray.click("view-logs")
    shown = page.get(tray.opened()).headers["location"]
    page.get(f"http://127.0.0.1:{tray.port}{shown}")
    lines = page.get(f"http://127.0.0.1:{tray.port}{shown.rpartition('/')[0]}/api/log.txt").text
    assert "listening on" in lines


def test_it_starts_again_after_it_was_killed(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    tray.program.process.kill()
    tray.program.process.wait(5)

    tray.start().wait_until_it_runs()

    assert tray.is_serving()
