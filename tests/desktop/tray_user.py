"""The tray program and the user in front of it: starts it, reads its menu, clicks, pastes, looks what was opened."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from desktop.panel_side import ITEM, Item, MenuLine, PanelSide
from desktop.processes import session_bus
from desktop.session import Desktop
from fakes.ports import free_port
from fakes.program import Program
from fakes.shared_upstream import Fresh
from waiting import wait_for

APP_ID = "openai-tray-proxy"
UPSTREAM_KEY = "sk-the-upstream-key-0001"
XDG_OPEN = '#!/bin/sh\nprintf "%s\\n" "$1" >> "$OPENED_LIST"\n'


class Tray:
    """The program in a home of its own, and its user."""

    def __init__(self, desktop: Desktop, home: Path, upstream: Fresh, stack: ExitStack) -> None:
        self.desktop, self.home, self.port = desktop, home, free_port()
        self.bus = desktop.bus
        self.upstream_url, self._stack = upstream.base_url, stack
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

    def launch(self, *arguments: str, kind: type[Program] = Program, **variables: str) -> Program:
        """Start a process of the program; an empty variable counts as none."""
        own = {
            "PATH": f"{self.home / 'bin'}:{self.desktop.env['PATH']}",
            "OPENED_LIST": str(self._opened),
            "BROWSER": "",
            "XDG_CURRENT_DESKTOP": "",
            "WAYLAND_DISPLAY": "",
            "DISPLAY": self.desktop.env["DISPLAY"],
            "DBUS_SESSION_BUS_ADDRESS": self.desktop.env["DBUS_SESSION_BUS_ADDRESS"],
            "OPENAI_BASE_URL": self.upstream_url,
            "OPENAI_API_KEY": UPSTREAM_KEY,
            **variables,
        }
        program = kind(self.home, *arguments, command=("-m", "tray_app"), **own)
        return self._stack.enter_context(program)

    def start(self, *arguments: str, **variables: str) -> "Tray":
        """Start the program and wait for its icon on the panel."""
        self.program = self.launch(*arguments, **variables)
        self.item = self.desktop.find_item(self.program.process.pid)
        return self

    def start_without_panel(
        self, address: str, *arguments: str, kind: type[Program] = Program, **variables: str
    ) -> "Tray":
        """Start the program on a bus without a panel; its menu can be read there all the same."""
        self.bus = PanelSide(address)
        self._stack.callback(self.bus.close)
        self.program = self.launch(
            *arguments, kind=kind, **{"DBUS_SESSION_BUS_ADDRESS": address, "DISPLAY": "", **variables}
        )
        self.item = Item(f"{ITEM}-{self.program.process.pid}-1", "/StatusNotifierItem", "/StatusNotifierItem/Menu")
        wait_for(lambda: self.bus.has_owner(self.item.name), "the icon's name on the bus")
        return self

    def menu(self) -> MenuLine:
        return self.bus.read_menu(self.item)

    def labels(self) -> list[str]:
        """Return what the menu says; a text of several lines is one again."""
        texts: dict[str, str] = {}
        for line in self.menu().walk():
            text, _, number = line.key.rpartition("-")
            if number.isdigit() and texts.get(text):
                texts[text] += f" {line.label}"
            else:
                texts[line.key] = line.label
        return list(texts.values())

    def wait_for_line(self, text: str) -> str:
        """Wait until the menu says this, and return the whole text."""
        wait_for(lambda: any(text in label for label in self.labels()), f"{text!r} in the menu")
        return next(label for label in self.labels() if text in label)

    def status(self) -> str:
        return self.menu().find("status").label

    def wait_for_status(self, text: str) -> str:
        seen: list[str] = []

        def look() -> bool:
            seen[:] = [self.status()]
            return text in seen[0]

        try:
            wait_for(look, f"{text!r} in the status line")
        except AssertionError as late:
            raise AssertionError(f"{late}, which says: {seen[0]}") from late
        return seen[0]

    def wait_until_it_runs(self) -> str:
        """Return the base URL the status line tells."""
        return self.wait_for_status("Running on ").removeprefix("Running on ")

    def click(self, key: str) -> None:
        self.bus.click(self.item, key)

    def copied(self, key: str, pattern: str) -> str:
        """Click a line that copies, and return what lies on the clipboard then."""
        self.click(key)
        command = ["xclip", "-selection", "clipboard", "-o"]
        display = {**self.desktop.env}

        def paste() -> str | None:
            done = subprocess.run(command, env=display, capture_output=True, text=True, timeout=20, check=False)
            return done.stdout if re.fullmatch(pattern, done.stdout) else None

        return wait_for(paste, f"{pattern} on the clipboard") or ""

    def opened(self, count: int = 1) -> str:
        """Wait until so many things were opened and return the last."""
        return wait_for(lambda: self.opened_so_far()[count - 1 :], f"{count} things opened")[-1]

    def opened_so_far(self) -> list[str]:
        return self._opened.read_text().splitlines() if self._opened.exists() else []

    def log(self) -> str:
        """Return what stands in the log so far."""
        return next(self.home.rglob("proxy.log")).read_text(encoding="utf-8")

    def is_serving(self) -> bool:
        """Whether the proxy answers; its upstream is not asked."""
        return httpx2.get(f"http://127.0.0.1:{self.port}/v1/health", trust_env=False).status_code == 200

    @property
    def chat_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def chat(self, key: str | None = None) -> int:
        """Ask for a completion and return the answer's status."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        return httpx2.post(self.chat_url, json=body, headers=headers, trust_env=False).status_code

    def is_port_free(self) -> bool:
        try:
            socket.create_server(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    @contextmanager
    def session_of_its_own(self) -> Iterator[str]:
        """Run a session bus and give its address; with the block the session ends."""
        with session_bus(self.desktop.env) as address:
            yield address

    @contextmanager
    def taken_port(self) -> Iterator[None]:
        """Listen on the program's port."""
        with socket.create_server(("127.0.0.1", self.port)):
            yield
