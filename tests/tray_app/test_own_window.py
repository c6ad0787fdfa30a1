"""A terminal window that holds this program alone: closing it does not end the proxy, Ctrl-C in it does."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from fakes.environment import environment
from fakes.ports import free_port
from proxy import running
from tray_app.own_window import ADVICE
from waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="terminals of file managers are looked at on Linux")

# What a terminal does: a session of its own, its terminal, and then the command; or a shell that runs the command.
LEAD = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Window:
    """A terminal window, and what is read in it."""

    def __init__(self, home: Path, *command: str, **variables: str) -> None:
        self.home, self.port = home, free_port()
        self._user, terminal = os.openpty()
        variables = {"DBUS_SESSION_BUS_ADDRESS": "", "DISPLAY": ":97", "BROWSER": "true", **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD, *command, "--port", str(self.port), "--tray", "none"],
            env=environment(home, **variables),
            cwd=home,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        self.text = ""
        self._is_open = True

    def read_until(self, words: str) -> None:
        deadline = time.monotonic() + 20
        while words not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self._user], [], [], 0.1)[0]:
                with suppress(OSError):
                    self.text += os.read(self._user, 4096).decode()

    def type(self, keys: bytes) -> None:
        os.write(self._user, keys)

    def close(self) -> None:
        if self._is_open:
            os.close(self._user)
            self._is_open = False

    def is_serving(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def tray_pid(self) -> int | None:
        info = running.read(self.home / "run" / "openai-tray-proxy" / "instance.json")
        return info.pid if info else None


@contextmanager
def window(home: Path, *command: str, **variables: str) -> Iterator[Window]:
    opened = Window(home, *command, **variables)
    try:
        yield opened
    finally:
        if pid := opened.tray_pid():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        opened.close()
        with suppress(OSError):
            opened.process.kill()
        opened.process.wait(10)


TRAY = (sys.executable, "-m", "tray_app")


def test_the_program_goes_on_when_its_window_is_closed(empty_computer: Path) -> None:
    with window(empty_computer, *TRAY) as shown:
        shown.read_until("no system tray")
        assert ADVICE in shown.text
        pid = wait_for(shown.tray_pid, "it to publish itself")

        shown.close()
        shown.process.wait(10)

        time.sleep(0.3)
        assert shown.is_serving()
        assert shown.tray_pid() == pid != shown.process.pid
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not shown.is_serving(), "its end")


def test_ctrl_c_in_the_window_ends_it(empty_computer: Path) -> None:
    with window(empty_computer, *TRAY) as shown:
        shown.read_until("no system tray")

        shown.type(b"\x03")

        assert shown.process.wait(10) == 0
        assert not shown.is_serving()


def test_a_signal_to_the_process_that_was_started_ends_it(empty_computer: Path) -> None:
    with window(empty_computer, *TRAY) as shown:
        shown.read_until("no system tray")

        shown.process.terminate()

        assert shown.process.wait(10) == 0
        assert not shown.is_serving()


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (("sh", "-c", '"$@"; true', "sh", *TRAY), {}),  # a shell that waits, as when somebody types the command
        (TRAY, {"DISPLAY": "", "WAYLAND_DISPLAY": ""}),  # no desktop: a console, or a container
    ],
    ids=["shell", "console"],
)
def test_another_terminal_keeps_its_program(
    empty_computer: Path, command: tuple[str, ...], variables: dict[str, str]
) -> None:
    with window(empty_computer, *command, **variables) as shown:
        shown.read_until("no system tray")
        assert ADVICE not in shown.text

        shown.close()

        wait_for(lambda: not shown.is_serving(), "its end")


def test_a_program_that_cannot_start_says_so_in_its_window_with_its_exit_code(empty_computer: Path) -> None:
    with ExitStack() as stack:
        shown = stack.enter_context(window(empty_computer, *TRAY, "--host", "0.0.0.0"))

        shown.read_until("PROXY_HOST")

        assert shown.process.wait(10) == 1
