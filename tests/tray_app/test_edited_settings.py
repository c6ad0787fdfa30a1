"""The settings file edited by hand while the tray runs: what the icon, its menu and the server make of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.ports import free_port
from proxy import paths
from proxy.services import assemble
from proxy.settings.following import SettingsFollower
from tray_app.backends.none import NoTray
from tray_app.commands import Commands
from tray_app.controller import ProxyController
from tray_app.menu import Look, walk
from tray_app.notifications import Notifier
from tray_app.state import read_state
from tray_app.view import look
from waiting import wait_for

EVERY_S = 0.05
GOOD = "proxy_require_api_key = true\n"


class Telling(NoTray):
    """A tray that shows nothing but notifications."""

    def __init__(self) -> None:
        super().__init__("a test")
        self.told: list[tuple[str, str]] = []

    def notify(self, title: str, text: str) -> bool:
        self.told.append((title, text))
        return True


class Edited:
    """The parts of a tray whose settings file is followed, wired as the program wires them."""

    def __init__(self, port: int) -> None:
        self.file = paths.settings_file()
        self.file.parent.mkdir(parents=True)
        self.write(port, GOOD)
        keychain = MemoryKeychain()
        services = assemble({"openai_api_key": "sk-the-upstream-key"}, keychain=lambda: keychain)
        self.store = services.store
        self.controller = ProxyController(services, lambda: None)
        self.backend = Telling()
        self.said: list[str] = []
        self.notifier = Notifier(self.controller, self.said.append, lambda: self.backend, has_terminal=False)
        self.commands = Commands(self.controller, self.notifier.notify, lambda: None)
        self.changes = 0
        self.store.observe(self.note)
        self.follower = SettingsFollower(self.store, EVERY_S, EVERY_S)

    def note(self) -> None:
        self.changes += 1
        self.notifier.announce_settings()

    def write(self, port: int, more: str = "") -> None:
        new = self.file.with_name("new")
        new.write_text(f"proxy_port = {port}\n{more}")
        new.replace(self.file)

    def wait_for_changes(self, count: int) -> None:
        wait_for(lambda: self.changes >= count, f"{count} changes")

    def look(self) -> Look:
        return look(read_state(self.controller, self.commands.problem, None, is_working=False))

    def labels(self) -> str:
        return " ".join(line.label for line in walk(self.look().lines))

    def is_serving(self, port: int) -> bool:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/v1/health", trust_env=False)
        except httpx2.TransportError:
            return False
        return True


@contextmanager
def running(port: int) -> Iterator[Edited]:
    """Serve at a port, and follow the file."""
    made = Edited(port)
    made.controller.start()
    made.follower.start()
    yield made
    made.follower.stop()
    made.controller.close()
    made.commands.close()


@pytest.fixture
def edited() -> Iterator[Edited]:
    with running(free_port()) as made:
        yield made


def test_a_switch_in_the_file_is_one_in_the_menu(edited: Edited) -> None:
    port = edited.store.current.proxy_port
    assert [line.checked for line in walk(edited.look().lines) if line.key == "require-key"] == [True]

    edited.write(port, "proxy_require_api_key = false\n")
    edited.wait_for_changes(1)

    assert [line.checked for line in walk(edited.look().lines) if line.key == "require-key"] == [False]


def test_a_mistake_stands_in_the_menu_until_it_is_mended_and_is_notified_once(edited: Edited) -> None:
    port = edited.store.current.proxy_port

    edited.write(port, f"{GOOD}tool_timeout = 'long'\n")
    edited.wait_for_changes(1)
    said = "Settings file error, last good settings in force: settings.toml, line 3: TOOL_TIMEOUT is 'long'"
    assert said in edited.labels()
    assert edited.look().icon == "attention"
    assert edited.commands.run("require-key") is None
    assert "TOOL_TIMEOUT is 'long'" in (edited.commands.problem or "")
    edited.write(port, f"{GOOD}tool_timeout = 7\n")
    edited.wait_for_changes(2)

    edited.commands.problem = None
    assert "Settings file error" not in edited.labels()
    assert edited.look().icon == "running"
    (title, text), mended = edited.backend.told
    assert title == "The settings file is wrong"
    assert f"{edited.file}, line 3: TOOL_TIMEOUT is 'long'" in text
    assert mended == ("Settings are in force", "settings.toml: right again; now in force: tool_timeout")
    assert edited.said == [text, mended[1]]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (f"{GOOD}tool_timeout = 7\n", "tool_timeout"),
        (f"{GOOD}openai_timeout = 30\nopenai_max_retries = 1\n", "openai_timeout, openai_max_retries"),
        ("", "proxy_require_api_key"),
    ],
)
def test_an_edit_that_is_in_force_is_told_by_its_settings(edited: Edited, lines: str, named: str) -> None:
    edited.write(edited.store.current.proxy_port, lines)
    edited.wait_for_changes(1)

    assert edited.backend.told == [("Settings are in force", f"settings.toml: now in force: {named}")]
    assert edited.said == [f"settings.toml: now in force: {named}"]


@pytest.mark.parametrize("lines", [f"# a remark\n{GOOD}", f"\n\n{GOOD}\n"])
def test_an_edit_that_changes_nothing_is_not_told(edited: Edited, lines: str) -> None:
    edited.write(edited.store.current.proxy_port, lines)
    edited.wait_for_changes(1)

    assert edited.backend.told == []


def test_what_a_click_changes_is_not_told(edited: Edited) -> None:
    edited.commands.run("require-key")
    edited.write(edited.store.current.proxy_port, "proxy_require_api_key = false\ntool_timeout = 7\n")
    edited.wait_for_changes(2)

    assert edited.said == ["settings.toml: now in force: tool_timeout"]


def test_another_mistake_is_notified_too(edited: Edited) -> None:
    port = edited.store.current.proxy_port

    for number, mistake in enumerate(("=", "tool_timeout = 0\n"), 1):
        edited.write(port, mistake)
        edited.wait_for_changes(number)

    assert len(edited.backend.told) == 2


def test_another_port_moves_the_server_and_the_pages(edited: Edited) -> None:
    old, new = edited.store.current.proxy_port, free_port()

    edited.write(new, GOOD)
    edited.wait_for_changes(1)

    assert edited.controller.base_url == f"http://127.0.0.1:{new}/v1"
    assert edited.controller.root_url() == f"http://127.0.0.1:{new}"
    assert edited.is_serving(new)
    wait_for(lambda: not edited.is_serving(old), "nobody at the old port")


def test_another_port_starts_no_server_that_is_switched_off(edited: Edited) -> None:
    edited.controller.stop()

    edited.write(free_port(), GOOD)
    edited.wait_for_changes(1)

    assert edited.controller.base_url is None
    assert (edited.controller.problem, edited.store.problem) == (None, None)
    edited.controller.start()
    assert edited.is_serving(edited.store.current.proxy_port)


def test_a_taken_port_is_refused_with_its_line_and_the_server_stays(edited: Edited) -> None:
    old = edited.store.current.proxy_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        edited.write(port)
        edited.wait_for_changes(1)

        assert f"settings.toml, line 1: port {port} is taken by " in edited.labels()
    assert edited.controller.base_url == f"http://127.0.0.1:{old}/v1"
    assert edited.store.current.proxy_require_api_key
    assert edited.is_serving(old)


def test_a_server_that_found_its_port_taken_starts_once_the_file_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, running(other.getsockname()[1]) as edited:
        assert edited.controller.problem

        edited.write(free_port())
        edited.wait_for_changes(1)

        assert edited.controller.problem is None
        assert edited.is_serving(edited.store.current.proxy_port)


def test_edits_and_clicks_that_meet_leave_one_server_where_the_file_says(edited: Edited) -> None:
    ports = [free_port() for _ in range(5)]
    clicking = threading.Event()

    def click() -> None:
        while not clicking.is_set():
            edited.commands.run("server")

    clicks = threading.Thread(target=click)
    clicks.start()
    for number, port in enumerate(ports, 1):
        edited.write(port)
        edited.wait_for_changes(number)
    clicking.set()
    clicks.join()
    edited.controller.start()

    assert edited.controller.base_url == f"http://127.0.0.1:{ports[-1]}/v1"
    assert edited.is_serving(ports[-1])
    wait_for(lambda: not any(map(edited.is_serving, ports[:-1])), "nobody at the other ports")


def test_a_file_that_is_gone_comes_back_as_it_was_when_it_is_opened(edited: Edited) -> None:
    before, content = edited.store.current, edited.file.read_bytes()
    edited.file.unlink()
    edited.wait_for_changes(1)
    assert "settings.toml is gone" in edited.labels()

    edited.commands.run("settings-file")
    edited.wait_for_changes(2)

    assert edited.file.read_bytes() == content
    assert edited.store.current is before
    assert edited.store.problem is None


def test_a_wrong_file_that_is_gone_is_not_made_anew_without_its_settings(tmp_path: Path) -> None:
    paths.settings_file().parent.mkdir(parents=True)
    paths.settings_file().write_text("=")
    controller = ProxyController(assemble({"proxy_port": 0}), lambda: None)
    commands = Commands(controller, lambda title, text: None, lambda: None)
    paths.settings_file().unlink()

    commands.run("settings-file")

    assert "is gone; only a restart goes back to the defaults" in (commands.problem or "")
    assert not paths.settings_file().exists()
    assert not controller.services.store.is_known
    commands.close()
    controller.close()
