"""A double-click in Thunar on what we ship, and on the launcher that `install` writes."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from background import need
from desktop.processes import end, start
from desktop.session import Desktop
from desktop.test_launchers import Installed, installed
from fakes.environment import ROOT
from waiting import wait_for

__all__ = ["installed"]  # a fixture

T = TypeVar("T")

LAUNCHER = "OpenAI Tray Proxy.desktop"
FIRST_FILE = (210, 150)  # where its icon or its name is, below a line of warning or none
ELSEWHERE = (600, 550)
IN_FOLDER = (400, 300)  # black before there is a window
EDITOR = "[Desktop Entry]\nType=Application\nName=Editor\nExec=cp %f {}\nMimeType=application/x-shellscript;\n"
DEFAULTS = "[Default Applications]\napplication/x-shellscript=editor.desktop\n"


@contextmanager
def opened(desktop: Desktop, folder: Path, **variables: str) -> Iterator[None]:
    """Show a folder in Thunar, and wait until it is there."""
    need("thunar")
    process = start(["thunar", str(folder)], desktop.env | variables)
    try:
        wait_for(lambda: any(desktop.screen.image().getpixel(IN_FOLDER)), "the folder's window", 30)
        yield
    finally:
        end(process)


def double_click(desktop: Desktop, then: Callable[[], T], what: str) -> T:
    """Double-click the first file until something comes of it; return what does."""
    deadline = time.monotonic() + 30
    while not (found := then()):
        assert time.monotonic() < deadline, f"no {what} after a double-click"
        desktop.screen.move(ELSEWHERE)
        desktop.screen.click(FIRST_FILE)
        desktop.screen.click(FIRST_FILE)
        waited_to = time.monotonic() + 1.5
        while not then() and time.monotonic() < waited_to:
            time.sleep(0.05)
    return found


def content(file: Path) -> str:
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("name", ["plain", "two words ü", 'it\'s "$HOME" `x`'])
def test_the_launcher_in_the_projects_folder_runs_the_start_script_beside_it(
    desktop: Desktop, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(ROOT / LAUNCHER, folder)
    (folder / "start.sh").write_text(f'#!/bin/sh\npwd > "{tmp_path}/ran"\n')
    (folder / "start.sh").chmod(0o755)

    with opened(desktop, folder):
        ran = double_click(desktop, lambda: content(tmp_path / "ran"), "run of the script")

    assert ran == f"{folder}\n"


def test_the_start_script_itself_is_shown_and_not_run(desktop: Desktop, tmp_path: Path) -> None:
    folder, shown = tmp_path / "project", tmp_path / "shown"
    folder.mkdir()
    shutil.copy(ROOT / "start.sh", folder)
    applications = tmp_path / "data" / "applications"
    applications.mkdir(parents=True)
    (applications / "editor.desktop").write_text(EDITOR.format(shown))
    (applications / "mimeapps.list").write_text(DEFAULTS)

    with opened(desktop, folder, XDG_DATA_HOME=str(tmp_path / "data"), XDG_CONFIG_HOME=str(tmp_path / "config")):
        double_click(desktop, lambda: content(shown), "editor")

    assert list(folder.iterdir()) == [folder / "start.sh"]


def test_the_launcher_that_install_writes_starts_the_program_without_a_question(installed: Installed) -> None:
    installed.run("install")
    (launcher,) = installed.home.rglob("applications/openai-tray-proxy.desktop")
    on_desktop = installed.home / "Desktop"
    on_desktop.mkdir()
    shutil.copy(launcher, on_desktop)

    with opened(installed.tray.desktop, on_desktop, **installed.env):
        pid = double_click(installed.tray.desktop, installed.pid, "program")

    wait_for(installed.tray.is_serving, "an answer")
    installed.tray.desktop.find_item(pid)
