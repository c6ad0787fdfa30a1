"""The tray on X11 panels that support only XEmbed (trayer, tint2, i3bar): pystray's xorg icon, with workarounds.

These trays show no menu, so a click runs the default line; pystray itself does not select click events.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from Xlib import X, display, error  # type: ignore[import-untyped]  # it ships no types

from tray_app.backends.backend import Program
from tray_app.backends.pystray_icon import STOP_TIMEOUT_S, PystrayBackend, load_pystray
from tray_app.backends.xembed_picture import on_panel

# Raised when a display is opened, and when one is used that has gone.
X_ERRORS = (error.DisplayError, error.XauthError, error.XNoAuthError, error.ConnectionClosedError, OSError)
EVENTS = X.ExposureMask | X.StructureNotifyMask | X.ButtonPressMask  # pystray's, and the clicks
TASKS_MESSAGE = "_TRAY_TASKS"
FLUSH_INTERVAL_S = 0.05

log = logging.getLogger(__name__)


def has_xembed_tray() -> bool:
    """Return whether a panel offers an XEmbed tray on this X display; raises one of X_ERRORS without a display."""
    connection = display.Display()
    try:
        selection = connection.intern_atom(f"_NET_SYSTEM_TRAY_S{connection.get_default_screen()}")
        return bool(connection.get_selection_owner(selection) != X.NONE)
    finally:
        connection.close()


def is_xembed_tray_there() -> bool:
    """Return the same, and False without a display."""
    try:
        return has_xembed_tray()
    except X_ERRORS:
        return False


def xembed_backend(program: Program, reason: str, has_better: Callable[[], bool] = lambda: False) -> "XembedBackend":
    """Return the tray of XEmbed panels, which ends when there is a better one; raises one of X_ERRORS."""
    return XembedBackend(load_pystray("xorg"), program, reason, has_better)


class XembedBackend(PystrayBackend):
    """Show the icon in an XEmbed tray, and again when the panel restarts."""

    name = "pystray on XEmbed"
    can_notify = False
    check_interval_s = 1.0

    def __init__(self, pystray: Any, program: Program, reason: str, has_better: Callable[[], bool]) -> None:
        self._has_better = has_better
        super().__init__(pystray, program, reason)

    @property
    def is_shown(self) -> bool:
        """Whether a tray has embedded our window; any thread."""
        return self._is_embedded and self._thread.is_alive()

    def _make_icon(self) -> Any:
        icon = super()._make_icon()
        self._is_embedded = False
        icon._window.change_attributes(event_mask=EVENTS)
        self._tasks_message = icon._display.intern_atom(TASKS_MESSAGE)
        pystrays_own = icon._message_handlers[X.ClientMessage]

        def on_message(event: Any) -> None:
            if event.client_type == self._tasks_message:
                self._run_tasks()
            else:
                pystrays_own(event)

        def on_reparent(event: Any) -> None:  # pystray takes the icon to be shown as soon as it has asked
            self._is_embedded = event.parent.id != icon._display.screen().root.id

        icon._assert_icon_data = partial(self._draw, icon)
        icon._assert_docked = icon._dock_window  # pystray would log a traceback whenever there is no tray
        icon._message_handlers |= {X.ClientMessage: on_message, X.ReparentNotify: on_reparent}
        icon._display.flush()
        return icon

    def _draw(self, icon: Any, width: int, height: int) -> None:
        """Draw the icon in the panel's current size and on its background; on the icon's thread."""
        picture = self._program.icon(self._drawn.icon, min(width, height))
        icon._icon_data = on_panel(picture, icon._window, width, height)

    def _wake(self) -> None:
        if self._thread.is_alive():
            with suppress(*X_ERRORS):  # `_check_icon` sees it too, and stops
                self._icon._send_message(self._icon._window, self._tasks_message)
                self._icon._display.flush()

    def _end_icon(self) -> None:
        self._on_icon_thread(self._icon.stop)
        for _ in range(int(STOP_TIMEOUT_S / FLUSH_INTERVAL_S)):
            self._thread.join(FLUSH_INTERVAL_S)
            self._flush()

    def _flush(self) -> None:
        """Flush python-xlib: if two threads send at once, it may hold a request back for ever."""
        if self._thread.is_alive():
            with suppress(*X_ERRORS):
                self._icon._display.flush()

    def _check_icon(self) -> None:
        """Ask again while no tray has the icon: a new one may not listen yet, a closing one may destroy the icon.

        Stops when the display has gone; main thread only.
        """
        self._flush()
        if self._has_better():
            self.stop()
        if self.is_shown:
            return
        try:
            is_tray_there = has_xembed_tray()
        except X_ERRORS as gone:
            log.warning("the X display went away: %s", gone)
            self.stop()
            return
        if is_tray_there and self._thread.is_alive():
            self._on_icon_thread(self._icon._show)
        elif is_tray_there:
            self._icon = self._make_icon()
            self._start_icon()
