"""Copy with another program, which reads the text and may keep running to hold it."""

import subprocess

from tray_app.children import run_with_input
from tray_app.errors import ClipboardUnavailable

TIMEOUT_S = 3.0


def copy_with(command: list[str], text: str, **variables: str) -> None:
    """Pass the text to a program and wait until it exits; raises ClipboardUnavailable. May be called on any thread."""
    try:
        run_with_input(command, text, TIMEOUT_S, **variables)
    except FileNotFoundError as error:
        raise ClipboardUnavailable(f"{command[0]} is not installed") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise ClipboardUnavailable(f"{command[0]} failed") from error
