"""The clipboards of Linux desktops: Wayland's, KDE's, X11's."""

import os
import threading
from collections.abc import Callable

from tray_app.clipboard.klipper import copy_to_klipper
from tray_app.clipboard.program import copy_with
from tray_app.clipboard.x11 import HeldSelection
from tray_app.errors import ClipboardUnavailable

WL_COPY = ["wl-copy", "--type", "text/plain;charset=utf-8"]


class LinuxClipboard:
    """Copy text in the first way that works. Under X11 it is gone with `close`, elsewhere it stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: HeldSelection | None = None

    def copy(self, text: str) -> None:
        """Put a text on the clipboard; raises ClipboardUnavailable. May be called on any thread.

        It takes milliseconds, and seconds where a program or the bus hangs.
        """
        reasons = []
        with self._lock:
            for way in self._ways():
                try:
                    return way(text)
                except ClipboardUnavailable as error:  # noqa: PERF203  there are three ways at most
                    reasons.append(error.detail)
        raise ClipboardUnavailable("; ".join(reasons) or "there is no desktop here")

    def close(self) -> None:
        """Give up a text held under X11, and end the thread that holds it; a second call does nothing."""
        with self._lock:
            self._hold(None)

    def _ways(self) -> list[Callable[[str], None]]:
        ways: list[Callable[[str], None]] = []
        if os.environ.get("WAYLAND_DISPLAY"):
            ways += [lambda text: copy_with(WL_COPY, text), copy_to_klipper]
        if os.environ.get("DISPLAY"):
            ways.append(lambda text: self._hold(HeldSelection(text)))
        return ways

    def _hold(self, new: HeldSelection | None) -> None:
        # The old one is closed after the new one has taken over: at no moment is the clipboard empty.
        old, self._held = self._held, new
        if old is not None:
            old.close()
