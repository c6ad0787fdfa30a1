"""Everything the program has made on this computer, by name, and how it is removed again."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy import paths
from proxy.command import started_as
from proxy.install import applications
from proxy.install.start_command import checkout
from proxy.install.writing import remove, writable

STAMP = "start.stamp"  # what the start scripts write into the .venv they made
REMOVE = "start.remove"  # what start.bat looks for


@dataclass(frozen=True)
class Trace:
    """Something the program has made: what it is, and where it lies."""

    name: str
    places: tuple[Path, ...]

    @property
    def found(self) -> list[Path]:
        """Those of its places where there is something."""
        return [place for place in self.places if place.exists() or place.is_symlink()]

    def remove(self) -> None:
        """Remove it; what is not there is passed over. Raises InstallationFailed."""
        for place in self.places:
            remove(place)


def program_traces() -> list[Trace]:
    """Return what the program has put on the desktop, and what it can make again.

    Start at login is switched off beside this: it is not a file everywhere.
    """
    icons = tuple(applications.icon_files()) if sys.platform == "linux" else ()
    return [
        Trace("launcher", (applications.launcher_file(), *icons)),
        Trace("log", (paths.log_file().parent,)),
        Trace("cache", (paths.cache_dir(),)),
        Trace("files of a running program", (paths.runtime_dir(),)),
    ]


def data_traces() -> list[Trace]:
    """Return what the user has written or chosen, and what the program remembers."""
    return [
        Trace("settings, tools and MCP servers", (paths.config_dir(),)),
        Trace("requests kept with all that was said", (paths.kept_requests_dir(),)),
        Trace("what it remembers", (paths.state_file().parent,)),
    ]


def environment_trace() -> Trace:
    """Return the .venv of the start script, if this program runs in it.

    On Windows nobody can remove a program that runs: a file in it tells start.bat to do so. See `leave_word`.
    """
    is_ours = is_own_environment() and sys.platform != "win32"
    return Trace("packages of the program", (checkout() / ".venv",) if is_ours else ())


def leave_word() -> None:
    """Have start.bat remove .venv once this program has ended; raises InstallationFailed."""
    file = checkout() / ".venv" / REMOVE
    if sys.platform == "win32" and is_own_environment():
        with writable(file):
            file.touch()


def is_own_environment() -> bool:
    """Return whether a start script has started this program in the .venv it has made.

    Whoever runs the program there by other means, as the tests do, is at work in it and keeps it.
    """
    folder = checkout() / ".venv"
    return started_as() is not None and Path(sys.prefix) == folder and (folder / STAMP).is_file()


def found(traces: Iterable[Trace]) -> list[Trace]:
    """Return the traces that are there."""
    return [trace for trace in traces if trace.found]
