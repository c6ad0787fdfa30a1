"""The tray program as its user meets it: started as a process, used through its icon, its pages and its port."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest
import tomllib

from background import need
from fakes.program import Program
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from waiting import wait_for

if TYPE_CHECKING:
    from desktop.panel_side import Item, MenuLine
    from desktop.session import Desktop

APP_ID = "openai-tray-proxy"
UPSTREAM_KEY = "sk-the-upstream-key-0001"
LENIENT_START_S = 5.0
XDG_OPEN = '#!/bin/sh\nprintf "%s\\n" "$1" >> "$OPENED_LIST"\n'


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Tray:
    """The program in a home of its own, and its user."""

    def __init__(self, desktop: "Desktop", home: Path, upstream: ScriptedUpstream, stack: ExitStack) -> None:
        self.desktop, self.home, self.port = desktop, home, free_port()
        self._upstream, self._stack = upstream, stack
        self.settings_file = home / "xdg_config_home" / APP_ID / "settings.toml"
        self.write_settings(f"proxy_port = {self.port}\n")
        self._opened = home / "opened"
        opener = home / "bin/xdg-open"
        opener.parent.mkdir()
        opener.write_text(XDG_OPEN)
        opener.chmod(0o755)

    def write_settings(self, text: str) -> None:
        self.settings_file.parent.mkdir(parents=True, exist_ok=True)
        self.settings_file.write_text(text)

    def launch(self, *arguments: str, **variables: str) -> Program:
        """Start a process of the program; an empty variable counts as none."""
        own = {
            "PATH": f"{self.home / 'bin'}:{self.desktop.env['PATH']}",
            "OPENED_LIST": str(self._opened),
            "BROWSER": "",
            "WAYLAND_DISPLAY": "",
            "DISPLAY": self.desktop.env["DISPLAY"],
            "DBUS_SESSION_BUS_ADDRESS": self.desktop.env["DBUS_SESSION_BUS_ADDRESS"],
            "OPENAI_BASE_URL": self._upstream.base_url,
            "OPENAI_API_KEY": UPSTREAM_KEY,
            **variables,
        }
        program = Program(self.home, *arguments, command=("-m", "tray_app"), **own)
        return self._stack.enter_context(program)

    def start(self, *arguments: str, **variables: str) -> "Tray":
        self.program = self.launch(*arguments, **variables)
        self.item: Item = self.desktop.find_item(self.program.process.pid)
        return self

    def menu(self) -> "MenuLine":
        return self.desktop.read_menu(self.item)

    def status(self) -> str:
        return self.menu().find("status").label

    def wait_for_status(self, text: str) -> str:
        wait_for(lambda: text in self.status(), f"{text!r} in the status line")
        return self.status()

    def wait_until_it_runs(self) -> str:
        """Return the base URL the status line tells."""
        return self.wait_for_status("Running on ").removeprefix("Running on ")

    def click(self, key: str) -> None:
        self.desktop.click(self.item, key)

    def copied(self, key: str, pattern: str) -> str:
        """Click a line that copies, and return what lies on the clipboard then."""
        self.click(key)
        command = ["xclip", "-selection", "clipboard", "-o"]
        display = {**self.desktop.env}

        def paste() -> str | None:
            done = subprocess.run(command, env=display, capture_output=True, text=True, timeout=5, check=False)
            return done.stdout if re.fullmatch(pattern, done.stdout) else None

        return wait_for(paste, f"{pattern} on the clipboard") or ""

    def opened(self, count: int = 1) -> str:
        """Wait until so many things were opened and return the last."""

        def lines() -> list[str]:
            return self._opened.read_text().splitlines() if self._opened.exists() else []

        return wait_for(lambda: lines() if len(lines()) >= count else [], f"{count} things opened")[-1]

    def chat(self, key: str | None = None) -> int:
        """Ask for a completion and return the answer's status."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"model": "m", "messages": []}
        url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        return httpx2.post(url, json=body, headers=headers, trust_env=False).status_code

    def is_port_free(self) -> bool:
        try:
            socket.create_server(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True


@pytest.fixture
def tray(desktop: "Desktop", tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[Tray]:
    """Give the program, not started, on a desktop with an unlocked and empty keyring."""
    for program in ("xclip", "gnome-keyring-daemon", "secret-tool"):
        need(program)
    if not desktop.bus.has_owner("org.freedesktop.secrets"):
        desktop.start_keyring()
    subprocess.run(["secret-tool", "clear", "service", APP_ID], env=desktop.env, timeout=5, check=False)
    upstream.answer(Json(completion()))
    home = tmp_path / "user"
    home.mkdir()
    with ExitStack() as stack:
        yield Tray(desktop, home, upstream, stack)


@pytest.fixture
def page() -> Iterator[httpx2.Client]:
    """Give a browser that follows no redirects."""
    with httpx2.Client(trust_env=False) as client:
        yield client


def test_the_icon_is_there_and_the_port_answers_soon_after_the_start(tray: Tray) -> None:
    began = time.monotonic()

    tray.start()
    tray.wait_until_it_runs()
    answer = tray.chat()

    took = time.monotonic() - began
    print(f"icon and port after {took:.2f} s")  # noqa: T201  the measured time, for who reads the report
    assert answer == 200
    assert took < LENIENT_START_S


def test_the_sdk_chats_through_the_url_that_was_copied(tray: Tray, upstream: ScriptedUpstream) -> None:
    told = tray.start().wait_until_it_runs()

    url = tray.copied("copy-url", "http://.*/v1")

    assert url == told == f"http://127.0.0.1:{tray.port}/v1"
    with openai.OpenAI(base_url=url, api_key="anything") as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Hello there."
    assert upstream.requests[-1].header("Authorization") == f"Bearer {UPSTREAM_KEY}"


def test_run_tools_is_kept_in_the_settings_file(tray: Tray) -> None:
    tray.start()
    assert tray.menu().find("tools").checked is False

    tray.click("Run tools")

    wait_for(lambda: tray.menu().find("tools").checked, "the check")
    assert tomllib.loads(tray.settings_file.read_text())["enable_tool_execution"] is True


def test_a_switch_fixed_by_the_environment_is_greyed_and_says_so(tray: Tray) -> None:
    line = tray.start(ENABLE_TOOL_EXECUTION="true").menu().find("tools")

    assert (line.enabled, line.checked) == (False, True)
    assert "fixed by the environment" in line.label


def test_once_a_proxy_key_is_required_only_the_copied_one_opens(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    assert tray.chat() == 200

    tray.click("Require a proxy key")
    wait_for(lambda: tray.menu().find("require-key").checked, "the check")

    assert tray.chat() == 401
    assert tray.chat(tray.copied("copy-key", "op-.*")) == 200


def test_the_menu_stops_and_starts_the_server(tray: Tray) -> None:
    tray.start().wait_until_it_runs()

    tray.click("server")
    tray.wait_for_status("Stopped")
    assert tray.is_port_free()
    tray.click("server")

    tray.wait_until_it_runs()
    assert tray.chat() == 200


def test_view_logs_opens_the_log(tray: Tray) -> None:
    tray.start()
    tray.click("View logs")

    wait_for(Path(tray.opened()).read_text, "lines in the log")


def test_the_link_to_the_dashboard_lets_in_once(tray: Tray, page: httpx2.Client) -> None:
    tray.start()
    tray.desktop.activate(tray.item)
    link = tray.opened()

    entered = page.get(link)
    home = page.get(f"http://127.0.0.1:{tray.port}/ui/")

    assert entered.status_code == 303
    assert home.status_code == 200
    assert f"http://127.0.0.1:{tray.port}/v1" in home.text
    assert httpx2.get(link, trust_env=False).status_code == 403


@pytest.mark.parametrize(("status", "said"), [(200, "The upstream accepts the key."), (401, 'role="alert"')])
def test_a_key_set_on_the_page_lies_in_the_keyring_and_is_tried(
    tray: Tray, page: httpx2.Client, upstream: ScriptedUpstream, status: int, said: str
) -> None:
    tray.start(OPENAI_API_KEY="")
    tray.wait_for_status("No upstream key")
    models = {"object": "list", "data": []} if status == 200 else {"error": {"message": "no", "code": "x"}}
    upstream.answer(Json(models, status=status), path="/v1/models")
    tray.click("set-key")
    page.get(tray.opened())
    root = f"http://127.0.0.1:{tray.port}"
    token = re.search('name="form_token" value="([^"]+)"', page.get(f"{root}/ui/").text)
    assert token
    form = {"form_token": token[1], "key": "sk-typed-on-the-page-0002", "where": "keyring"}

    answer = page.post(f"{root}/ui/key", data=form, headers={"Origin": root}, timeout=20)

    assert said in answer.text
    kept = subprocess.run(
        ["secret-tool", "search", "--all", "service", APP_ID],
        env=tray.desktop.env, capture_output=True, text=True, timeout=5, check=True,
    )  # fmt: skip
    assert "secret = sk-typed-on-the-page-0002" in kept.stdout


def test_the_icon_comes_back_with_a_new_panel(tray: Tray) -> None:
    tray.start().wait_until_it_runs()

    tray.desktop.restart_panel()

    tray.item = tray.desktop.find_item(tray.program.process.pid)
    tray.wait_until_it_runs()


@pytest.mark.parametrize("way", ["Quit", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_way_out_ends_well_and_leaves_port_and_lock_free(tray: Tray, way: str | signal.Signals) -> None:
    tray.start().wait_until_it_runs()

    tray.click(way) if isinstance(way, str) else tray.program.send(way)

    assert tray.program.ended() == 0
    assert tray.is_port_free()
    tray.start().wait_until_it_runs()


def test_a_second_copy_opens_the_firsts_dashboard_and_ends(tray: Tray, page: httpx2.Client) -> None:
    tray.start().wait_until_it_runs()

    second = tray.launch()

    assert second.ended() == 0
    assert "already running" in second.printed
    assert page.get(tray.opened()).status_code == 303


def test_a_taken_port_is_named_and_another_one_offered(tray: Tray) -> None:
    with socket.create_server(("127.0.0.1", tray.port)):
        status = tray.start().wait_for_status("is held by")
        assert "python" in status
        assert tray.desktop.bus.read_item(tray.item, "Status") == "NeedsAttention"
        offered = re.search(r"Use port (\d+) instead", tray.menu().find("other-port").label)
        assert offered

        tray.click("other-port")

        assert tray.wait_until_it_runs() == f"http://127.0.0.1:{offered[1]}/v1"
    assert tomllib.loads(tray.settings_file.read_text())["proxy_port"] == int(offered[1])


def test_no_other_port_is_offered_where_the_port_is_fixed(tray: Tray) -> None:
    with socket.create_server(("127.0.0.1", tray.port)):
        tray.start("--port", str(tray.port)).wait_for_status("is held by")

        assert "other-port" not in [line.key for line in tray.menu().children]


@pytest.mark.parametrize("arguments", [(), ("--tray", "none")])
def test_without_a_desktop_it_serves_and_prints_the_way_to_its_page(
    tray: Tray, page: httpx2.Client, arguments: tuple[str, ...]
) -> None:
    program = tray.launch(*arguments, DISPLAY="", DBUS_SESSION_BUS_ADDRESS="")

    link = wait_for(lambda: re.search(r"http://\S+/ui/enter\S+", program.printed), "the link")

    assert link
    assert "There is no tray here" in program.printed
    assert page.get(link[0]).status_code == 303
    assert tray.chat() == 200
    program.send(signal.SIGTERM)
    assert program.ended() == 0


def test_a_broken_settings_file_leaves_the_defaults(tray: Tray) -> None:
    tray.write_settings("proxy_port = = 1\n")

    tray.start("--port", str(tray.port)).wait_until_it_runs()

    assert tray.chat() == 200
    assert tray.menu().find("tools").checked is False


def test_a_log_that_cannot_be_written_keeps_nobody_from_serving(tray: Tray) -> None:
    (tray.home / "xdg_state_home").mkdir(exist_ok=True)
    (tray.home / "xdg_state_home" / APP_ID).write_text("a file where the folder should be")

    tray.start().wait_until_it_runs()

    assert tray.chat() == 200


def test_it_starts_again_after_it_was_killed(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    tray.program.process.kill()
    tray.program.process.wait(5)

    tray.start().wait_until_it_runs()

    assert tray.chat() == 200
