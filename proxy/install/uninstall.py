"""Everything the program has made on this computer, by name, and how it is removed again."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proxy import paths
from proxy.install import applications, autostart
from proxy.install.start_command import checkout
from proxy.install.writing import remove

STAMP = "start.stamp"  # what the start scripts write into the .venv they made


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
    """Return what the program has put on the desktop, and what it can make again."""
    icons = tuple(applications.icon_files()) if sys.platform == "linux" else ()
    start = () if sys.platform == "win32" else (autostart.entry_file(),)
    return [
        Trace("launcher", (applications.launcher_file(), *icons)),
        Trace("start at login", start),
        Trace("log", (paths.log_file().parent,)),
        Trace("cache", (paths.cache_dir(),)),
        Trace("files of a running program", (paths.runtime_dir(),)),
    ]


def data_traces() -> list[Trace]:
    """Return what the user has written or chosen, and what the program remembers."""
    return [
        Trace("settings, tools and MCP servers", (paths.config_dir(),)),
        Trace("what it remembers", (paths.state_file().parent,)),
    ]


def environment_trace() -> Trace:
    """Return the .venv of the start script, if this program runs in it.

    On Windows nobody can remove a program that runs: start.bat does it when this one has ended.
    """
    folder = checkout() / ".venv"
    is_ours = Path(sys.prefix) == folder and (folder / STAMP).is_file()
    return Trace("packages of the program", (folder,) if is_ours and sys.platform != "win32" else ())


def found(traces: Iterable[Trace]) -> list[Trace]:
    """Return the traces that are there."""
    return [trace for trace in traces if trace.found]
