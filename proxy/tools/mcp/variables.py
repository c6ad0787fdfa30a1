"""Variables in mcp.json, in the forms other programs use, so that no key need stand in the file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = re.compile(r"\$\{([^{}]*)\}")
NAME = re.compile(r"(?:env:)?([A-Za-z_][\w.()]*)(?::-(.*))?", re.DOTALL)


def filled_in(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Replace ${NAME}, ${env:NAME}, ${NAME:-default} and the folders' names; raises ValueError naming what is not set.

    There is no workspace: ${workspaceFolder} is the home folder, as ${userHome} is.
    """
    return VARIABLE.sub(lambda match: value_of(match[1], environment), text)


def value_of(inside: str, environment: Mapping[str, str]) -> str:
    """Return what stands for the inside of ${…}; raises ValueError."""
    if inside in ("userHome", "workspaceFolder", "workspaceRoot"):
        return home()
    if inside in ("/", "pathSeparator"):
        return os.sep
    named = NAME.fullmatch(inside)
    if named is None:
        raise ValueError(f"${{{inside[:60]}}} is not a variable this program knows")
    value = environment.get(named[1])
    if named[2] is not None:
        return value or named[2]
    if value is None:
        raise ValueError(f"it needs the variable {named[1][:60]}, which is not set")
    return value


def home() -> str:
    """Return the user's home folder; raises ValueError where there is none."""
    try:
        return str(Path.home())
    except RuntimeError as error:
        raise ValueError("it needs the home folder, which is not known") from error
