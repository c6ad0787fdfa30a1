"""The tray on Windows: pystray, and what it leaves out of Windows' rules.

Written from Microsoft's documentation and pystray's source, and run under Wine, not on a real Windows. pystray answers
0 to every unknown message, and 0 to WM_QUERYENDSESSION means: do not let the user log out.
"""

import ctypes
import importlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tray_app.backends.backend import Program
from tray_app.backends.pystray_icon import PystrayBackend, load_pystray

WM_QUERYENDSESSION = 0x0011
WM_ENDSESSION = 0x0016
WM_TASKS = 0x8000 + 77  # ours, above WM_APP: the window's thread has tasks
TIP_UNITS, TITLE_UNITS, TEXT_UNITS = 127, 63, 255  # the limits of NOTIFYICONDATAW, in UTF-16 units
# At login the shell may not be ready and refuse the icon; pystray ignores its answer.
SHOW_AGAIN_AFTER_S = (0.5, 1, 2, 4, 8, 16)

Handler = Callable[[int, int], int | None]


def cut(text: str, units: int) -> str:
    """Cut a text to a number of UTF-16 units, at the end of a character."""
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")


def windows_backend(program: Program, reason: str) -> "WindowsBackend":
    """Return the tray of Windows; raises what pystray's import raises."""
    pystray = load_pystray("win32")
    return WindowsBackend(pystray, importlib.import_module("pystray._util.win32"), program, reason)


class WindowsBackend(PystrayBackend):
    """Show the icon in the notification area; the main thread waits in Python, where Ctrl-C reaches it."""

    name = "pystray on Windows"
    icon_px = 32  # the size pystray loads, whatever it is passed
    end_session_timeout_s = 4.0  # Windows allows a program 5

    def __init__(self, pystray: Any, win32: Any, program: Program, reason: str) -> None:
        self._win32 = win32
        self._is_menu_open = False
        self._is_session_ending = False
        self._show_again_s = [time.monotonic() + after_s for after_s in SHOW_AGAIN_AFTER_S]
        super().__init__(pystray, program, reason)

    @property
    def is_shown(self) -> bool:
        """Whether the shell has our icon, tested by modifying it without a change; any thread."""
        if not self._icon.visible:
            return False
        data = self._win32.NOTIFYICONDATAW
        unchanged = data(cbSize=ctypes.sizeof(data), hWnd=self._icon._hwnd, hID=id(self._icon), uFlags=0)
        return bool(self._win32.Shell_NotifyIcon(self._win32.NIM_MODIFY, unchanged))

    def notify(self, title: str, text: str) -> bool:
        """Show a notification; any thread. Texts above the limits are cut."""
        return super().notify(cut(title, TITLE_UNITS), cut(text, TEXT_UNITS))

    def _make_icon(self) -> Any:
        icon = super()._make_icon()
        show_menu: Handler = icon._message_handlers[self._win32.WM_NOTIFY]
        icon._message_handlers |= {
            self._win32.WM_NOTIFY: partial(self._on_notify, icon, show_menu),
            WM_TASKS: self._run_tasks,
            WM_QUERYENDSESSION: lambda _wparam, _lparam: 1,
            WM_ENDSESSION: self._on_end_session,
        }
        return icon

    def _on_notify(self, icon: Any, show_menu: Handler, wparam: int, lparam: int) -> int | None:
        """Build the menu just before it opens, and never while it is open: that would destroy it."""
        if lparam != self._win32.WM_RBUTTONUP or self._is_menu_open:
            return show_menu(wparam, lparam)
        self._is_menu_open = True
        try:
            icon.update_menu()
            return show_menu(wparam, lparam)
        finally:
            self._is_menu_open = False

    def _on_end_session(self, is_ending: int, _lparam: int) -> int:
        """End the program before answering: Windows kills it after that."""
        if is_ending:
            self._is_session_ending = True
            self.stop()
            threading.main_thread().join(self.end_session_timeout_s)
        return 0

    def _end_icon(self) -> None:
        if self._is_session_ending:  # the icon's thread is waiting for this one
            self._on_icon_thread(self._icon.stop)
        else:
            super()._end_icon()

    def _show(self) -> None:
        if self._icon.visible:
            self._icon._show()  # pystray does not show an icon that it takes to be visible
        else:
            super()._show()

    def _check_icon(self) -> None:
        """Show the icon again until the shell has accepted it."""
        if not self._show_again_s or time.monotonic() < self._show_again_s[0]:
            return
        self._show_again_s.pop(0)
        if self.is_shown:
            self._show_again_s.clear()
        else:
            self._on_icon_thread(self._show)

    def _wake(self) -> None:
        if self._icon._hwnd:  # without a window yet, the set-up thread calls this again
            self._win32.PostMessage(self._icon._hwnd, WM_TASKS, 0, 0)

    def _title(self, title: str) -> str:
        return cut(title, TIP_UNITS)

    def _label(self, label: str) -> str:
        return label.replace("&", "&&")  # one ampersand would mark an access key
