"""The tray on Windows: pystray, and the parts of Windows' own rules it leaves out.

Written after Microsoft's documentation and pystray's source, not yet run on a real Windows. pystray answers 0 to every
message it does not know, and to WM_QUERYENDSESSION that means: do not let the user log out.
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
WM_TASKS = 0x8000 + 77  # ours, above WM_APP: there are tasks for the window's thread
TIP_UNITS, TITLE_UNITS, TEXT_UNITS = 127, 63, 255  # what NOTIFYICONDATAW holds, in UTF-16 units
# At login the shell may not be ready; it then says no, and pystray does not look at its answer.
SHOW_AGAIN_AFTER_S = (0.5, 1, 2, 4, 8, 16)

Handler = Callable[[int, int], int | None]


def cut(text: str, units: int) -> str:
    """Cut a text to so many UTF-16 units, leaving no half character."""
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")


def windows_backend(program: Program, why: str) -> "WindowsBackend":
    """Return the tray of Windows; raises what pystray's import raises."""
    pystray = load_pystray("win32")
    return WindowsBackend(pystray, importlib.import_module("pystray._util.win32"), program, why)


class WindowsBackend(PystrayBackend):
    """Show the icon in the notification area; the main thread waits in Python, where it hears Ctrl-C."""

    name = "pystray on Windows"
    icon_px = 32  # the size pystray loads, whatever it is given
    end_session_limit_s = 4.0  # Windows gives a program 5

    def __init__(self, pystray: Any, win32: Any, program: Program, why: str) -> None:
        self._win32 = win32
        self._is_menu_open = False
        self._is_session_ending = False
        self._show_again_s = [time.monotonic() + after_s for after_s in SHOW_AGAIN_AFTER_S]
        super().__init__(pystray, program, why)

    @property
    def is_shown(self) -> bool:
        """Whether the shell has our icon: only then can it change it. Any thread."""
        if not self._icon.visible:
            return False
        data = self._win32.NOTIFYICONDATAW
        unchanged = data(cbSize=ctypes.sizeof(data), hWnd=self._icon._hwnd, hID=id(self._icon), uFlags=0)
        return bool(self._win32.Shell_NotifyIcon(self._win32.NIM_MODIFY, unchanged))

    def notify(self, title: str, text: str) -> bool:
        """Hand a balloon to the shell; any thread. Longer texts than it holds are cut."""
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
        """Build the menu just before it is shown, and never while it is open: that would destroy it."""
        if lparam != self._win32.WM_RBUTTONUP or self._is_menu_open:
            return show_menu(wparam, lparam)
        self._is_menu_open = True
        try:
            icon.update_menu()
            return show_menu(wparam, lparam)
        finally:
            self._is_menu_open = False

    def _on_end_session(self, is_ending: int, _lparam: int) -> int:
        """End the program before answering: Windows kills it afterwards."""
        if is_ending:
            self._is_session_ending = True
            self.stop()
            threading.main_thread().join(self.end_session_limit_s)
        return 0

    def _end_icon(self) -> None:
        if self._is_session_ending:  # the icon's thread is waiting for this one
            self._in_owner(self._icon.stop)
        else:
            super()._end_icon()

    def _show(self) -> None:
        if self._icon.visible:
            self._icon._show()  # once visible, pystray would not try again
        else:
            super()._show()

    def _watch(self) -> None:
        """Show the icon again while the shell has not taken it."""
        if not self._show_again_s or time.monotonic() < self._show_again_s[0]:
            return
        self._show_again_s.pop(0)
        if self.is_shown:
            self._show_again_s.clear()
        else:
            self._in_owner(self._show)

    def _wake(self) -> None:
        if self._icon._hwnd:  # before there is a window, the set-up thread will call again
            self._win32.PostMessage(self._icon._hwnd, WM_TASKS, 0, 0)

    def _title(self, title: str) -> str:
        return cut(title, TIP_UNITS)

    def _label(self, label: str) -> str:
        return label.replace("&", "&&")  # one ampersand would mark an access key
