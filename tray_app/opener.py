"""Show a web page, a file or a folder with the system's own program for it."""

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

PATIENCE_S = 0.5  # a viewer that fails does so at once; one that is still there then is taken to show something
Command = list[str]


def open_url(url: str) -> None:
    """Show a web page in the user's browser; raises NothingOpened. May be called on any thread.

    Takes http and https only: with other schemes the system may start a program.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise NothingOpened(f"{scheme or 'nothing'} is not http or https")
    show(url, chosen_browsers(url))


def open_path(path: Path) -> None:
    """Show a file or a folder in the system's program for it; raises NothingOpened. May be called on any thread."""
    if not path.exists():
        raise NothingOpened(f"{path} does not exist")
    show(str(path.absolute()), [])


def has_screen() -> bool:
    """Tell whether there is a screen to open a page on, for what is not to come up in a terminal."""
    on_linux = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("win32", "darwin") or bool(on_linux)


def show(target: str, preferred: Iterable[Command]) -> None:
    """Hand the target to the first program that takes it; raises NothingOpened."""
    if sys.platform == "win32":
        try:
            os.startfile(target)  # noqa: S606  the system's own way; the target was checked above
        except OSError as error:
            raise NothingOpened(error.strerror or str(error)) from error
    elif sys.platform == "darwin":
        try_each([["/usr/bin/open", target]])
    else:
        try_each([*preferred, ["xdg-open", target], ["gio", "open", target]])


def try_each(commands: Iterable[Command]) -> None:
    """Start the commands in turn until one seems to work; raises NothingOpened."""
    failed = []
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        try:
            if start(command, PATIENCE_S):
                return
        except OSError:  # a file that may be run and cannot be
            pass
        failed.append(Path(command[0]).name)
    raise NothingOpened(f"{', '.join(failed)} failed" if failed else "there is neither xdg-open nor gio")


def chosen_browsers(url: str) -> list[Command]:
    """Return the commands in BROWSER, a list of them with the page in the place of %s or at the end."""
    commands = []
    for entry in filter(None, os.environ.get("BROWSER", "").split(os.pathsep)):
        with suppress(ValueError):  # a quote that is not closed
            words = shlex.split(entry)
            commands.append([word.replace("%s", url) for word in words] if "%s" in entry else [*words, url])
    return commands
