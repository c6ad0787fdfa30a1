"""Go on when a terminal window that was opened for this program alone is closed.

A file manager that runs a program "in a terminal" opens a window with nothing else in it: the program leads the
window's session, where a shell would. Closing that window must not end a proxy that other programs use.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tray_app.opener import has_screen

ADVICE = "This window can be closed: the program goes on. Its menu ends it (Quit), and so does Ctrl-C here."


def leave_window(say: Callable[[str], object]) -> None:
    """Go on in a session of our own if the terminal window is ours alone; the main thread, before any other starts.

    The process that was started stays in the window, hands on Ctrl-C, and ends with the program's exit code.
    """
    if sys.platform == "win32" or not has_own_window():
        return
    say(ADVICE)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child:
        sys.exit(stay(child))
    os.setsid()
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout, sys.stderr = (ClosableTerminal.around(descriptor) for descriptor in (1, 2))


def has_own_window() -> bool:
    """Return whether this process leads the session of a terminal on a desktop."""
    if sys.platform != "linux" or sys.stdout is None or not sys.stdout.isatty() or not has_screen():
        return False
    return os.getsid(0) == os.getpid()


def stay(child: int) -> int:
    """Wait for the program, hand on signals to end, and return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    return abs(os.waitstatus_to_exitcode(status))


class ClosableTerminal(io.FileIO):
    """A terminal that may go away: what is written then is lost, without an error."""

    @classmethod
    def around(cls, descriptor: int) -> io.TextIOWrapper:
        """Return a text stream to the terminal with this descriptor."""
        raw = cls(descriptor, "w", closefd=False)
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)

    def write(self, data: Any, /) -> int:
        """Write what the terminal takes."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)
