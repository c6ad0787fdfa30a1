"""The program as the desktop itself starts it: from the applications menu, at login, in a terminal window."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from background import need
from desktop.tray_user import Tray
from fakes.environment import ROOT, environment
from proxy import running
from tray_app.own_window import ADVICE
from waiting import wait_for


class Installed:
    """The program in a venv of its own, added to the user's desktop, and the user who clicks it."""

    def __init__(self, tray: Tray) -> None:
        self.tray, self.home = tray, tray.home
        venv = self.home / "the venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=30)
        packages = next(venv.glob("lib/python*/site-packages"))
        (packages / "there.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        self.python = venv / "bin" / "python"
        self.env = environment(
            self.home,
            PATH=f"{self.home / 'bin'}:{tray.desktop.env['PATH']}",
            OPENED_LIST=str(self.home / "opened"),
            BROWSER="",
            XDG_CURRENT_DESKTOP="",
            WAYLAND_DISPLAY="",
            DISPLAY=tray.desktop.env["DISPLAY"],
            DBUS_SESSION_BUS_ADDRESS=tray.desktop.env["DBUS_SESSION_BUS_ADDRESS"],
            OPENAI_API_KEY="sk-the-upstream-key-0001",
        )

    def run(self, *words: str) -> str:
        """Run a command of the program and return what it says."""
        command = [self.python, "-I", "-m", "proxy", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=True, timeout=30).stdout

    def click(self, entry: Path) -> None:
        """Start what a desktop entry says, as panels and sessions do."""
        subprocess.run(["gio", "launch", entry], env=self.env, check=True, timeout=20)

    def pid(self) -> int | None:
        info = running.read(self.home / "run" / "openai-tray-proxy" / "instance.json")
        return info.pid if info else None

    def click_again(self, entry: Path) -> None:
        """Start it where it runs already, and wait until the second process has found that out and ended."""
        running = set(self.processes())
        self.click(entry)
        wait_for(lambda: set(self.processes()) <= running, "the second process's end", 20)

    def processes(self) -> list[psutil.Process]:
        """Return what runs of the program, published or not: nothing else has its list of opened things."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has just ended, or is another user's
                if process.environ().get("OPENED_LIST") == self.env["OPENED_LIST"]:
                    found.append(process)
        return found

    def end(self) -> None:
        """End every process of the program: one that is still starting would show its icon to the tests behind."""
        left = self.processes()
        for process in left:
            with suppress(psutil.Error):
                process.terminate()
        _, left = psutil.wait_procs(left, timeout=10)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        assert left == [], "the program did not end when it was asked to"
        assert self.processes() == [], "something of the program was started while it ended"


@pytest.fixture
def installed(tray: Tray) -> Iterator[Installed]:
    need("gio")
    made = Installed(tray)
    yield made
    made.end()


def test_a_click_in_the_applications_menu_shows_the_icon_and_a_second_one_the_page(installed: Installed) -> None:
    installed.run("install")
    (launcher,) = installed.home.rglob("applications/openai-tray-proxy.desktop")

    installed.click(launcher)
    pid = wait_for(installed.pid, "the program")
    installed.tray.desktop.find_item(pid)

    installed.click_again(launcher)
    assert "/ui/enter?ticket=" in installed.tray.opened()
    assert installed.pid() == pid


def test_what_the_session_starts_at_login_is_the_program_and_only_once(installed: Installed) -> None:
    assert "off" in installed.run("autostart")
    installed.run("autostart", "on")
    (entry,) = installed.home.rglob("autostart/openai-tray-proxy.desktop")

    installed.click(entry)
    pid = wait_for(installed.pid, "the program")
    item = installed.tray.desktop.find_item(pid)
    assert installed.tray.bus.read_menu(item).find("autostart").checked

    installed.click_again(entry)
    installed.tray.bus.click(item, "autostart")

    wait_for(lambda: not entry.exists(), "the start at login to be off")
    wait_for(lambda: not installed.tray.bus.read_menu(item).find("autostart").checked, "an unchecked line")
    assert installed.pid() == pid
    assert installed.tray.opened_so_far() == [], "a start at login opened something"


def test_the_program_goes_on_when_the_terminal_of_a_file_manager_is_closed(installed: Installed) -> None:
    if shutil.which("xterm") is None:
        pytest.skip("xterm is not installed")
    said = installed.home / "said in the window"
    command = ["xterm", "-l", "-lf", said, "-e", installed.python, "-I", "-m", "tray_app"]
    with subprocess.Popen(command, env=installed.env) as window:
        pid = wait_for(installed.pid, "the program", 20)
        installed.tray.desktop.find_item(pid)
        window.terminate()  # the window is closed

    installed.tray.desktop.find_item(pid)
    assert installed.tray.is_serving()
    assert ADVICE[:30] in said.read_text()
