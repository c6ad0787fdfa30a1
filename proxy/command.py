"""How the program is called here: started by a script, by that script's name, else by the installed command's."""

import os
import re

STARTED_AS = "START_COMMAND"  # set by start.sh and start.bat

WRITTEN = re.compile(r"`openai-tray-proxy ([^`]+)`")


def started_as() -> str | None:
    """Return the script that has started the program, None where none has."""
    return os.environ.get(STARTED_AS) or None


def command(words: str) -> str:
    """Return a command of the program as its user types it."""
    return f"{started_as() or 'openai-tray-proxy'} {words}"


def as_typed(text: str) -> str:
    """Return a text whose commands are written as installed, with each as its user types it."""
    return WRITTEN.sub(lambda match: f"`{command(match[1])}`", text)
