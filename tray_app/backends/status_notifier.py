"""The tray on Linux: our own StatusNotifierItem and menu over D-Bus, for X11 and Wayland, without a toolkit.

One thread, the main one, owns the connection, the icon and the menu; other threads only post to it.
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

LOOK_EVERY_S = 0.02  # at most, however often the program asks: panels redraw at every change

log = logging.getLogger(__name__)


class StatusNotifierBackend:
    """Show the icon on every panel that hosts StatusNotifier items, from when it appears."""

    name = "StatusNotifier"
    can_notify = False

    def __init__(
        self, bus: SessionBus, program: Program, why: str, on_hidden: Callable[[], None] = lambda: None
    ) -> None:
        """`on_hidden` is called on the tray's thread when no panel shows the icon any more."""
        self.why = why
        self._bus = bus
        self._program = program
        self._latest = LatestLook(program.look)
        self._is_look_asked = False
        self._next_look_s = 0.0
        pixmaps = Pixmaps(program.icon)
        self._item = NotifierItem(program.app_id, self._latest.current, pixmaps, bus.emit, self._on_activate)
        self._menu = DbusMenu(bus.emit, program.on_click, about_to_show=self._look_again)
        self._registration = Registration(bus, on_hidden=on_hidden)

    @property
    def is_shown(self) -> bool:
        """Whether a panel has really taken the icon; any thread."""
        return self._registration.is_shown

    def run(self) -> None:
        """Show the icon until `stop`, or until the session bus goes away; main thread only."""
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
        """Look at the program again, soon; any thread. One look answers all who asked before it."""
        if not self._is_look_asked:
            self._is_look_asked = True
            self._bus.post(self._look_soon)

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: on Linux notifications are no part of the tray; `tray_app.notify` sends them."""
        return False

    def _start(self) -> None:
        self._menu.show(self._latest.current.lines)
        self._bus.export(self._item.exported)
        self._bus.export(self._menu.exported)
        self._registration.start()

    def _look_soon(self) -> None:
        self._bus.after(max(0.0, self._next_look_s - time.monotonic()), self._look_again)

    def _look_again(self) -> None:
        self._is_look_asked = False  # first, so that a change during the look asks for another
        self._next_look_s = time.monotonic() + LOOK_EVERY_S
        look = self._latest.again()
        self._item.show(look)
        self._menu.show(look.lines)

    def _on_activate(self) -> None:
        key = self._latest.again().default_key
        if key is not None:
            self._program.on_click(key)
