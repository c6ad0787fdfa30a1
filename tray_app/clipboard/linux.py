"""Copy to the clipboard of a Linux desktop: Wayland's, KDE's or X11's."""

import os
import threading
from collections.abc import Callable

from tray_app.clipboard.klipper import copy_to_klipper
from tray_app.clipboard.program import copy_with
from tray_app.clipboard.x11 import HeldSelection
from tray_app.errors import ClipboardUnavailable

WL_COPY = ["wl-copy", "--type", "text/plain;charset=utf-8"]


class LinuxClipboard:
    """Copy text with the first method that works. Under X11 it is lost with `close`, elsewhere it stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: HeldSelection | None = None

    def copy(self, text: str) -> None:
        """Put a text on the clipboard; raises ClipboardUnavailable. May be called on any thread.

        It takes milliseconds, or seconds if a program or the bus hangs.
        """
        reasons = []
        with self._lock:
            for copy in self._methods():
                try:
                    return copy(text)
                except ClipboardUnavailable as error:  # noqa: PERF203  there are three methods at most
                    reasons.append(error.detail)
        raise ClipboardUnavailable("; ".join(reasons) or "there is no desktop")

    def close(self) -> None:
        """Release the X11 selection and end its thread; a second call does nothing."""
        with self._lock:
            self._hold(None)

    def _methods(self) -> list[Callable[[str], None]]:
        methods: list[Callable[[str], None]] = []
        if os.environ.get("WAYLAND_DISPLAY"):
            methods += [lambda text: copy_with(WL_COPY, text), copy_to_klipper]
        if os.environ.get("DISPLAY"):
            methods.append(lambda text: self._hold(HeldSelection(text)))
        return methods

    def _hold(self, new: HeldSelection | None) -> None:
        # Close the old one after the new one has taken over, so that the clipboard is never empty.
        old, self._held = self._held, new
        if old is not None:
            old.close()
