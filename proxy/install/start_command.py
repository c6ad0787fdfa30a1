"""The command that starts the tray again later: from the applications menu, or at login."""

import os
import sys
from pathlib import Path

from proxy.command import started_as

TRAY_PROGRAM = "openai-tray-proxy-tray"  # beside the command line's program, in a built folder
AT_LOGIN = "--at-login"


def start_command(*flags: str) -> list[str]:
    """Return the words that start the tray, whichever way this process was started."""
    return [*tray_words(), *flags]


def tray_words() -> list[str]:
    """Return the words for a built program, a checkout started by its script, or an installed package."""
    if getattr(sys, "frozen", False):
        if image := os.environ.get("APPIMAGE"):  # what it was unpacked into is gone when it ends
            return [image]
        program = Path(sys.executable)
        return [str(program.with_name(TRAY_PROGRAM + program.suffix))]
    script = checkout() / "start.sh"
    if sys.platform != "win32" and started_as() and script.is_file():
        return [str(script)]  # it also brings .venv up to date
    return [windowless(sys.executable), "-I", "-m", "tray_app"]


def checkout() -> Path:
    """Return the folder that holds the packages: the project's own, unless the program is installed."""
    return Path(__file__).resolve().parents[2]


def windowless(python: str) -> str:
    """Return the Python that opens no console, where there are two of them."""
    beside = Path(python).with_name("pythonw.exe")
    return str(beside) if sys.platform == "win32" and beside.is_file() else python
