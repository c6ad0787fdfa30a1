"""The tray of a Linux desktop whose panels come late and change: each time the best way there is to show the icon.

StatusNotifier has a menu and comes first; XEmbed is for panels that know nothing else. All but the interface belongs to
the main thread.
"""

import logging
from contextlib import suppress

from tray_app.backends.backend import Backend, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.pystray_xembed import X_ERRORS, is_xembed_tray_there, xembed_backend
from tray_app.backends.registration import has_host
from tray_app.backends.status_notifier import StatusNotifierBackend

LOOK_EVERY_S = 1.0
LOOKS = 4  # at login a panel that knows both may offer XEmbed first, so the icon is not moved at once
WHY_XEMBED = "the panel knows only XEmbed"
WHY_HOST = "a panel for StatusNotifier items has come"

log = logging.getLogger(__name__)


class ChangingTray:
    """Run one backend, and when another one shows the icon better, that one."""

    can_notify = False  # neither of them

    def __init__(self, program: Program, bus: SessionBus) -> None:
        self._program = program
        self._bus = bus  # what the panels are watched through
        self._current: Backend
        self._next: Backend | None = None
        self._is_stopped = False
        self._looks = 0  # how often in a row there was nothing but an XEmbed tray

    @property
    def name(self) -> str:
        """How the log calls the backend in use."""
        return self._current.name

    @property
    def why(self) -> str:
        """Why that one is in use."""
        return self._current.why

    @property
    def is_shown(self) -> bool:
        """Whether a panel has really taken the icon; any thread."""
        return self._current.is_shown

    def begin_with_status_notifier(self, why: str) -> "ChangingTray":
        """Show the icon on panels that host StatusNotifier items, and look for others while there is none."""
        self._current = self._status_notifier(why)
        return self

    def begin_with_xembed(self) -> "ChangingTray":
        """Show the icon in the XEmbed tray there is, and look for a better one; raises one of X_ERRORS."""
        self._current = self._xembed()
        return self

    def run(self) -> None:
        """Show the icon and return after `stop`, or when the desktop goes away; main thread only, once."""
        self._current.run()
        while self._next is not None:
            self._current, self._next = self._next, None
            log.info("tray: %s (%s)", self.name, self.why)
            if self._is_stopped:  # the one before may have been the only one to hear it
                self._current.stop()
            self._current.run()
        self._bus.close()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers, a second call does nothing."""
        self._is_stopped = True
        self._current.stop()

    def refresh(self) -> None:
        """Look at the program again, soon; any thread, never blocks."""
        self._current.refresh()

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: these trays have no notifications of their own."""
        return False

    def _status_notifier(self, why: str) -> Backend:
        """Return the backend; as long as no panel shows its icon, look every second for an XEmbed tray."""
        bus = self._bus

        def look_later() -> None:
            self._looks = 0
            bus.after(LOOK_EVERY_S, look)

        def look() -> None:
            if backend.is_shown:
                return
            self._looks = self._looks + 1 if is_xembed_tray_there() else 0
            if self._looks >= LOOKS:
                self._change_to_xembed(backend)
            bus.after(LOOK_EVERY_S, look)

        backend = StatusNotifierBackend(bus, self._program, why, on_hidden=look_later)
        look_later()
        return backend

    def _change_to_xembed(self, before: Backend) -> None:
        """Leave the bus to its backend, which closes it, and watch through another one from now on."""
        self._looks = 0
        with suppress(BusGone, *X_ERRORS):
            self._next, self._bus = self._xembed(), SessionBus()
            before.stop()

    def _xembed(self) -> Backend:
        return xembed_backend(self._program, WHY_XEMBED, self._sees_better)

    def _sees_better(self) -> bool:
        """Tell whether a panel has come that hosts StatusNotifier items, and make ready for it."""
        with suppress(BusGone):
            if has_host(self._bus):
                self._next = self._status_notifier(WHY_HOST)
        return self._next is not None
