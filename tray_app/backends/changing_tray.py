"""The tray of a Linux desktop whose panels start late and change: switch to the best way to show the icon.

StatusNotifier has a menu and is preferred; XEmbed is for panels that support nothing else. All but the methods of the
interface run on the main thread.
"""

import logging
from contextlib import suppress

from tray_app.backends.backend import Backend, Program
from tray_app.backends.bus import BusGone, SessionBus
from tray_app.backends.pystray_xembed import X_ERRORS, is_xembed_tray_there, xembed_backend
from tray_app.backends.registration import has_host
from tray_app.backends.status_notifier import StatusNotifierBackend

CHECK_INTERVAL_S = 1.0
CHECKS_BEFORE_XEMBED = 4  # at login, a panel that supports both may offer XEmbed first
REASON_XEMBED = "the panel supports only XEmbed"
REASON_HOST = "a panel for StatusNotifier items has started"

log = logging.getLogger(__name__)


class ChangingTray:
    """Run one backend, and replace it when another one is better."""

    can_notify = False  # neither of them

    def __init__(self, program: Program, bus: SessionBus) -> None:
        self._program = program
        self._bus = bus  # where panels are looked for
        self._current: Backend
        self._next: Backend | None = None
        self._is_stopped = False
        self._checks = 0  # how often in a row there was only an XEmbed tray

    @property
    def name(self) -> str:
        """The name of the current backend."""
        return self._current.name

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        return self._current.reason

    @property
    def is_shown(self) -> bool:
        """Whether a panel shows the icon; any thread."""
        return self._current.is_shown

    def begin_with_status_notifier(self, reason: str) -> "ChangingTray":
        """Begin with StatusNotifier, and look for an XEmbed tray while no panel shows the icon."""
        self._current = self._status_notifier(reason)
        return self

    def begin_with_xembed(self) -> "ChangingTray":
        """Begin with the XEmbed tray, and look for a StatusNotifier panel; raises one of X_ERRORS."""
        self._current = self._xembed()
        return self

    def run(self) -> None:
        """Show the icon; return after `stop` or when the desktop has gone. Main thread only, once."""
        self._current.run()
        while self._next is not None:
            self._current, self._next = self._next, None
            log.info("tray: %s (%s)", self.name, self.reason)
            if self._is_stopped:  # the stop may have reached only the previous backend
                self._current.stop()
            self._current.run()
        self._bus.close()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers, a second call does nothing."""
        self._is_stopped = True
        self._current.stop()

    def refresh(self) -> None:
        """Show the program's current look soon; any thread, never blocks."""
        self._current.refresh()

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: these trays have no notifications."""
        return False

    def _status_notifier(self, reason: str) -> Backend:
        """Return the backend; while no panel shows its icon, look for an XEmbed tray every second."""
        bus = self._bus

        def check_later() -> None:
            self._checks = 0
            bus.after(CHECK_INTERVAL_S, check)

        def check() -> None:
            if backend.is_shown:
                return
            self._checks = self._checks + 1 if is_xembed_tray_there() else 0
            if self._checks >= CHECKS_BEFORE_XEMBED:
                self._change_to_xembed(backend)
            bus.after(CHECK_INTERVAL_S, check)

        backend = StatusNotifierBackend(bus, self._program, reason, on_hidden=check_later)
        check_later()
        return backend

    def _change_to_xembed(self, before: Backend) -> None:
        """Leave the bus to its backend, which closes it, and use another one from now on."""
        self._checks = 0
        with suppress(BusGone, *X_ERRORS):
            self._next, self._bus = self._xembed(), SessionBus()
            before.stop()

    def _xembed(self) -> Backend:
        return xembed_backend(self._program, REASON_XEMBED, self._has_better)

    def _has_better(self) -> bool:
        """Return whether there is a panel for StatusNotifier items now; prepare its backend."""
        with suppress(BusGone):
            if has_host(self._bus):
                self._next = self._status_notifier(REASON_HOST)
        return self._next is not None
