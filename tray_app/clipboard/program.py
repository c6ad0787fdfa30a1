"""Copying by way of another program, which reads the text and may stay behind to hold it."""

import subprocess

from tray_app.children import feed
from tray_app.errors import ClipboardUnavailable

LIMIT_S = 3.0


def copy_with(command: list[str], text: str, **variables: str) -> None:
    """Give a program the text and wait for its end; raises ClipboardUnavailable. May be called on any thread."""
    try:
        feed(command, text, LIMIT_S, **variables)
    except FileNotFoundError as error:
        raise ClipboardUnavailable(f"{command[0]} is not installed") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise ClipboardUnavailable(f"{command[0]} failed") from error
