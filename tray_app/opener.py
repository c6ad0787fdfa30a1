"""Open a web page, a file or a folder with the system's program for it."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tray_app.children import start
from tray_app.errors import NothingOpened

START_TIMEOUT_S = 0.5  # a viewer that fails exits at once; one that still runs then has opened
Command = list[str]


def open_url(url: str) -> None:
    """Open a web page in the user's browser; raises NothingOpened. May be called on any thread.

    Only http and https are accepted: other schemes may start a program.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise NothingOpened(f"{scheme or 'nothing'} is not http or https")
    show(url, chosen_browsers(url))


def open_path(path: Path) -> None:
    """Open a file or a folder in the system's program for it; raises NothingOpened. May be called on any thread."""
    if not path.exists():
        raise NothingOpened(f"{path} does not exist")
    show(str(path.absolute()), [])


def has_screen() -> bool:
    """Return whether there is a screen, so that a page does not open in a text browser."""
    on_linux = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or bool(on_linux)


def show(target: str, preferred: Iterable[Command]) -> None:
    """Open the target with the first program that works; raises NothingOpened."""
    if sys.platform == "win32":
        try:
            os.startfile(target)  # noqa: S606  the target was checked above
        except OSError as error:
            if not Path(target).is_file():
                raise NothingOpened(error.strerror or str(error)) from error
            try_each([[notepad(), target]])  # Windows knows no program for `.toml` by itself
    elif sys.platform == "darwin":
        try_each([["/usr/bin/open", target]])
    else:
        try_each([*preferred, ["xdg-open", target], ["gio", "open", target]])


def notepad() -> str:
    """Return Windows' editor by its full path: a file of that name where the program stands is not taken for it."""
    return str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "notepad.exe"))


def try_each(commands: Iterable[Command]) -> None:
    """Start one command after the other until one seems to work; raises NothingOpened."""
    failed = []
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        try:
            if start(command, START_TIMEOUT_S):
                return
        except OSError:  # an executable that cannot be run
            pass
        failed.append(Path(command[0]).name)
    raise NothingOpened(f"{', '.join(failed)} failed" if failed else "neither xdg-open nor gio is installed")


def chosen_browsers(url: str) -> list[Command]:
    """Return the commands listed in BROWSER, with the URL in place of %s or at the end."""
    commands = []
    for entry in filter(None, os.environ.get("BROWSER", "").split(os.pathsep)):
        with suppress(ValueError):  # an unclosed quote
            words = shlex.split(entry)
            commands.append([word.replace("%s", url) for word in words] if "%s" in entry else [*words, url])
    return commands
