"""Choose the tray of a Linux desktop: StatusNotifier where it is or may yet come, else XEmbed, else none."""

from contextlib import ExitStack

from tray_app.backends.backend import Backend, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.none import NoTray
from tray_app.backends.pystray_xembed import X_ERRORS, has_xembed_tray, xembed_backend
from tray_app.backends.registration import WATCHER
from tray_app.backends.status_notifier import StatusNotifierBackend

WHY = "the desktop shows StatusNotifier items"
WHY_WAITING = "no panel shows icons yet; the icon appears as soon as one does"


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
        has_panel = bus.has_owner(WATCHER)
        if wanted == "auto" and not has_panel and _has_xembed_tray():
            return xembed_backend(program, "the panel knows only XEmbed")
        backend = StatusNotifierBackend(bus, program, WHY if has_panel else WHY_WAITING)
        unless_used.pop_all()
        return backend


def _without_bus(wanted: str, program: Program, why: str) -> Backend:
    if wanted == "auto" and _has_xembed_tray():
        return xembed_backend(program, f"{why}, but an XEmbed tray")
    return NoTray(f"no tray: {why}")


def _has_xembed_tray() -> bool:
    try:
        return has_xembed_tray()
    except X_ERRORS:
        return False
