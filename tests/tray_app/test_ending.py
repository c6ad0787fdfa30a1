"""A second start beside a copy that hangs, or is of another version: it says so, and ends only whom the user names."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("these desktops and terminals are Linux's", allow_module_level=True)

from fakes.dashboard import Hosted
from fakes.environment import environment
from proxy import paths
from proxy.identity import __version__
from tray_app import __main__ as program
from tray_app.ending import is_end_wanted
from tray_app.single_instance import SingleInstance
from waiting import wait_for

NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
ANSWERS = {"GetCapabilities": ("as", (["body", "actions"],)), "Notify": ("u", (7,))}
FIRST = """
import os, time
from proxy import paths
from tray_app.single_instance import SingleInstance
with SingleInstance(paths.runtime_dir()) as instance:
    instance.publish(os.getpid(), "http://127.0.0.1:9", "a-token")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("action", "is_wanted"), [("end", True), ("leave", False)])
def test_a_notification_asks_whether_the_other_one_is_ended(serve: Any, action: str, is_wanted: bool) -> None:
    service = serve(NAME, **ANSWERS)
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(is_end_wanted("It hangs (process 77).")))
    thread.start()

    wait_for(lambda: "Notify" in [method for method, _ in service.calls], "the notification")
    wait_for(lambda: emit_until(service, action, said), "the answer")
    thread.join(10)

    assert said == [is_wanted]
    shown = next(body for method, body in service.calls if method == "Notify")
    assert "process 77" in shown[4]


def emit_until(service: Any, action: str, said: list[bool]) -> bool:
    """Click once more until it was heard: the first click may come before the number is known."""
    service.emit(PATH, "ActionInvoked", "us", 7, action)
    return bool(said)


@pytest.mark.usefixtures("bus_services")
def test_where_nothing_can_ask_nothing_is_ended() -> None:
    assert not is_end_wanted("It hangs.")


@pytest.fixture
def first(empty_computer: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a copy that answers nobody."""
    command = [sys.executable, "-c", FIRST]
    with subprocess.Popen(command, env=environment(empty_computer), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_in_a_terminal_the_user_is_asked_and_the_other_one_ended(
    empty_computer: Path, first: "subprocess.Popen[str]"
) -> None:
    screen, keyboard = os.openpty()
    command = [sys.executable, "-m", "tray_app", "--port", "0", "--tray", "none"]
    variables = environment(empty_computer, DISPLAY="", DBUS_SESSION_BUS_ADDRESS="")
    with subprocess.Popen(
        command, stdin=keyboard, stdout=keyboard, stderr=keyboard, env=variables, cwd=empty_computer
    ) as process:
        os.close(keyboard)
        read_until(screen, "start anew?")
        os.write(screen, b"y\n")
        assert "/v1" in read_until(screen, "/v1")
        process.kill()  # how it ends is tested elsewhere
    os.close(screen)

    assert first.wait(10) != 0


def read_until(screen: int, words: str) -> str:
    text = ""
    while words not in text:
        text += os.read(screen, 4096).decode()
    return text


@pytest.mark.parametrize(("version", "is_told"), [("99.0", True), (__version__, False)])
def test_another_version_that_runs_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, version: str, is_told: bool
) -> None:
    monkeypatch.setattr(program, "__version__", version)
    with (
        Hosted() as hosted,
        SingleInstance(paths.runtime_dir()) as running,
        SingleInstance(paths.runtime_dir()) as late,
    ):
        running.publish(os.getpid(), hosted.root_url, hosted.dashboard.token)

        assert not program.is_to_be_ended(late)

    assert (f"Version {__version__} is running, and this is {version}" in capsys.readouterr().out) is is_told
