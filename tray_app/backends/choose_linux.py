"""Choose the tray of a Linux desktop: StatusNotifier if there is a session bus, else XEmbed, else none."""

import os
from contextlib import ExitStack, suppress

from tray_app.backends.backend import Backend, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.changing_tray import ChangingTray
from tray_app.backends.none import NoTray
from tray_app.backends.pystray_xembed import X_ERRORS, has_xembed_tray, is_xembed_tray_there, xembed_backend
from tray_app.backends.registration import WATCHER
from tray_app.backends.status_notifier import StatusNotifierBackend

REASON = "the desktop shows StatusNotifier items"
REASON_WAITING = "no panel shows icons yet; the icon appears as soon as one starts"
REASON_GNOME = "GNOME shows icons only with its AppIndicator extension, https://extensions.gnome.org/extension/615"


def choose_on_linux(wanted: str, program: Program) -> Backend:
    """Return a backend; raises one of X_ERRORS if XEmbed was requested and there is no display."""
    if wanted == "pystray":
        return xembed_backend(program, "pystray was requested")
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
    reason = REASON if has_panel else waiting_reason()
    if wanted == "sni":
        return StatusNotifierBackend(bus, program, reason)
    tray = ChangingTray(program, bus)
    if not has_panel and is_xembed_tray_there():
        return tray.begin_with_xembed()
    return tray.begin_with_status_notifier(reason)


def waiting_reason() -> str:
    """Return why no icon is shown, and what helps if that is known."""
    return REASON_GNOME if "GNOME" in os.environ.get("XDG_CURRENT_DESKTOP", "").split(":") else REASON_WAITING


def _without_bus(wanted: str, program: Program, reason: str) -> Backend:
    if wanted == "auto":
        with suppress(*X_ERRORS):
            found = "an XEmbed tray" if has_xembed_tray() else "a display, where an XEmbed tray may come"
            return xembed_backend(program, f"{reason}, but {found}")
    return NoTray(reason)
