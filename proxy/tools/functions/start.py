"""How the functions' process is started, whichever way this program was started itself."""

import os
import subprocess
import sys
from pathlib import Path

from proxy.settings.key_variables import without_keys

NO_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows alone
FLAG = "--functions-process"  # the one word with which a built program is that process; its launchers know it
# No module is imported before the places are ours: one of the current folder must not stand in for another.
CODE = "import sys; sys.path[:] = sys.argv.pop().split(chr(10)); from proxy.tools.functions.child import main; main()"


def command() -> list[str]:
    """Return the words that start the process."""
    if getattr(sys, "frozen", False):
        return [sys.executable, FLAG]
    return [python(), "-c", CODE, "\n".join(place for place in sys.path if isinstance(place, str))]


def python() -> str:
    """Return the interpreter; under a server that brings its own, that server is `sys.executable`."""
    if "python" in Path(sys.executable or "").name.lower() or "pypy" in Path(sys.executable or "").name.lower():
        return sys.executable
    inside = Path(sys.prefix, "python.exe") if sys.platform == "win32" else Path(sys.prefix, "bin", "python3")
    return str(inside) if inside.is_file() else sys.executable


def environment() -> dict[str, str]:
    """Return the variables that functions see: all of ours but the keys."""
    return without_keys(os.environ)
