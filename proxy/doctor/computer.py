"""Check the computer: folders, disk, start at login, the desktop's tray."""

import os
import shutil
import sys
from pathlib import Path

from proxy import paths
from proxy.command import command
from proxy.doctor.finding import Check, Examination, Finding
from proxy.install import autostart

MIN_FREE_MB = 100


def check_log(_: Examination) -> Finding:
    """Check that the log can be written."""
    problem = unwritable(paths.log_file().parent)
    return Finding("Log", problem is None, problem or str(paths.log_file()))


def check_folders(_: Examination) -> Finding:
    """Check that the folders of settings and state can be written."""
    folders = {paths.settings_file().parent, paths.state_file().parent, paths.runtime_dir()}
    problems = [problem for folder in sorted(folders) if (problem := unwritable(folder))]
    return Finding("Folders", not problems, "; ".join(problems) or "settings and state can be written")


def unwritable(folder: Path) -> str | None:
    """Return why a folder cannot be written or made, None if it can."""
    there = existing(folder)
    if there.is_dir() and os.access(there, os.W_OK):
        return None
    return f"{folder} cannot be written; make it yours" + ("" if there == folder else f" ({there} cannot be)")


def existing(folder: Path) -> Path:
    """Return a folder, or the nearest existing one above it, as the first start makes the folder."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def check_disk(_: Examination) -> Finding:
    """Check the free space for log, settings and ledger."""
    folder = existing(paths.log_file().parent)
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    is_good = free_mb >= MIN_FREE_MB
    return Finding("Disk", is_good, f"{free_mb} MB free at {folder}{'' if is_good else '; make room there'}")


def check_autostart(_: Examination) -> Finding:
    """Check whether the program starts at login."""
    state = autostart.status()
    advice = f"; `{command('autostart on')}` switches it on" if not state.is_on and state.problem is None else ""
    return Finding("Start at login", state.problem is None, f"{state}{advice}")


def check_desktop(_: Examination) -> Finding:
    """Check what this session offers for a tray icon."""
    if sys.platform != "linux":
        return Finding("Desktop", is_good=True, detail=sys.platform)
    name = os.environ.get("XDG_CURRENT_DESKTOP") or "no desktop named"
    screens = [
        kind for kind, variable in (("Wayland", "WAYLAND_DISPLAY"), ("X11", "DISPLAY")) if os.environ.get(variable)
    ]
    bus = "session bus" if has_session_bus() else "no session bus"
    return Finding("Desktop", is_good=True, detail=f"{name}, {' and '.join(screens) or 'no screen'}, {bus}")


def has_session_bus() -> bool:
    """Return whether a session bus is named in the environment, or exists where systemd puts it."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS")) or (bool(folder) and Path(folder, "bus").exists())


CHECKS = (
    Check("Log", check_log),
    Check("Folders", check_folders),
    Check("Disk", check_disk),
    Check("Start at login", check_autostart),
    Check("Desktop", check_desktop),
)
