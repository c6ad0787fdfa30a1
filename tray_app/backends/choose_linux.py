"""Choose the tray of a Linux desktop: StatusNotifier where it is or may yet come, else XEmbed, else none."""

import os
from contextlib import ExitStack, suppress

from tray_app.backends.backend import Backend, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.changing_tray import ChangingTray
from tray_app.backends.none import NoTray
from tray_app.backends.pystray_xembed import X_ERRORS, has_xembed_tray, is_xembed_tray_there, xembed_backend
from tray_app.backends.registration import WATCHER
from tray_app.backends.status_notifier import StatusNotifierBackend

WHY = "the desktop shows StatusNotifier items"
WHY_WAITING = "no panel shows icons yet; the icon appears as soon as one does"
WHY_GNOME = "GNOME shows icons only with its AppIndicator extension, https://extensions.gnome.org/extension/615"


def choose_on_linux(wanted: str, program: Program) -> Backend:
    """Return a backend; raises what X raises where XEmbed was asked for by name and there is no display."""
    if wanted == "pystray":
        return xembed_backend(program, "pystray was asked for")
    try:
        bus = SessionBus()
    except BusGone as gone:
        return _without_bus(wanted, program, f"there is no session bus ({gone})")
    with ExitStack() as unless_used:
        unless_used.callback(bus.close)
        backend = _on_bus(wanted, program, bus)
        unless_used.pop_all()
        return backend


def _on_bus(wanted: str, program: Program, bus: SessionBus) -> Backend:
    has_panel = bus.has_owner(WATCHER)
    why = WHY if has_panel else why_waiting()
    if wanted == "sni":
        return StatusNotifierBackend(bus, program, why)
    tray = ChangingTray(program, bus)
    if not has_panel and is_xembed_tray_there():
        return tray.begin_with_xembed()
    return tray.begin_with_status_notifier(why)


def why_waiting() -> str:
    """Say why there is no panel, and where it is known what would help, that."""
    return WHY_GNOME if "GNOME" in os.environ.get("XDG_CURRENT_DESKTOP", "").split(":") else WHY_WAITING


def _without_bus(wanted: str, program: Program, why: str) -> Backend:
    if wanted == "auto":
        with suppress(*X_ERRORS):
            found = "an XEmbed tray" if has_xembed_tray() else "a display, where an XEmbed tray may come"
            return xembed_backend(program, f"{why}, but {found}")
    return NoTray(why)
