"""The tray on Linux: a StatusNotifierItem and its menu over D-Bus, for X11 and Wayland, without a toolkit.

The main thread owns the connection, the icon and the menu; other threads only post to it.
"""

import logging
import time
from collections.abc import Callable

from tray_app.backends.backend import LatestLook, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.dbus_menu import DbusMenu
from tray_app.backends.notifier_item import NotifierItem
from tray_app.backends.pixmaps import Pixmaps
from tray_app.backends.registration import Registration

MIN_INTERVAL_S = 0.02  # between two refreshes, however often the program asks: panels redraw at every change

log = logging.getLogger(__name__)


class StatusNotifierBackend:
    """Show the icon on every panel that hosts StatusNotifier items, also on those that start later."""

    name = "StatusNotifier"
    can_notify = False

    def __init__(
        self, bus: SessionBus, program: Program, reason: str, on_hidden: Callable[[], None] = lambda: None
    ) -> None:
        """Call `on_hidden` on the tray's thread when no panel shows the icon any longer."""
        self.reason = reason
        self._bus = bus
        self._program = program
        self._latest = LatestLook(program.look)
        self._is_refresh_due = False
        self._next_refresh_s = 0.0
        pixmaps = Pixmaps(program.icon)
        self._item = NotifierItem(program.app_id, self._latest.current, pixmaps, bus.emit, self._on_activate)
        self._menu = DbusMenu(bus.emit, program.on_click, about_to_show=self._refresh_now)
        self._registration = Registration(bus, on_hidden=on_hidden)

    @property
    def is_shown(self) -> bool:
        """Whether a panel shows the icon; any thread."""
        return self._registration.is_shown

    def run(self) -> None:
        """Show the icon until `stop` or until the session bus goes away; main thread only."""
        try:
            self._start()
            self._bus.run()
        except BusGone as gone:
            log.warning("the session bus went away: %s", gone)
        finally:
            self._bus.close()
            self._registration.is_shown = False

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._bus.stop()

    def refresh(self) -> None:
        """Show the current look soon; any thread. One refresh serves all requests before it."""
        if not self._is_refresh_due:
            self._is_refresh_due = True
            self._bus.post(self._schedule_refresh)

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: on Linux, notifications are not part of the tray; `tray_app.notify` sends them."""
        return False

    def _start(self) -> None:
        self._menu.show(self._latest.current.lines)
        self._bus.export(self._item.exported)
        self._bus.export(self._menu.exported)
        self._registration.start()

    def _schedule_refresh(self) -> None:
        self._bus.after(max(0.0, self._next_refresh_s - time.monotonic()), self._refresh_now)

    def _refresh_now(self) -> None:
        self._is_refresh_due = False  # first, so that a change from now on causes another refresh
        self._next_refresh_s = time.monotonic() + MIN_INTERVAL_S
        look = self._latest.again()
        self._item.show(look)
        self._menu.show(look.lines)

    def _on_activate(self) -> None:
        key = self._latest.again().default_key
        if key is not None:
            self._program.on_click(key)
