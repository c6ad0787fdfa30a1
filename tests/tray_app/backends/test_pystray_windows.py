"""The mends for Windows, over a stand-in for its functions: that they are right on Windows itself is not shown here."""

import ctypes
import threading
from types import SimpleNamespace

import pytest

from fakes.pystray_icons import FakeProgram, QueueIcon, pystray
from tray_app.backends.pystray_windows import WM_ENDSESSION, WM_QUERYENDSESSION, WindowsBackend, cut
from tray_app.menu import Line, Look
from waiting import wait_for

WM_NOTIFY, WM_RBUTTONUP, WM_LBUTTONUP = 1035, 517, 514
OPEN = Line("open", "Open", is_default=True)


class NotifyIconData(ctypes.Structure):
    _fields_ = (("cbSize", ctypes.c_uint), ("hWnd", ctypes.c_void_p), ("uFlags", ctypes.c_uint))


class WindowIcon(QueueIcon):
    """An icon whose loop gets messages."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._hwnd = None
        self._message_handlers = {WM_NOTIFY: self._on_notify}

    def _run(self):
        self._hwnd = 7
        super()._run()

    def _on_notify(self, _wparam, lparam):
        self.drawn.append(("clicked", lparam))


class Windows:
    """The functions of Windows that are used, and whether the shell takes icons."""

    WM_NOTIFY, WM_RBUTTONUP, NIM_MODIFY = WM_NOTIFY, WM_RBUTTONUP, 1
    NOTIFYICONDATAW = NotifyIconData

    def __init__(self, program):
        self.is_shell_ready = True
        self.backend = _Backend(
            SimpleNamespace(Icon=WindowIcon, Menu=pystray.Menu, MenuItem=pystray.MenuItem),
            self,
            program.program,
            "test",
        )
        self.running = threading.Thread(target=self.backend.run)

    def __enter__(self):
        self.running.start()
        wait_for(lambda: self.backend._icon.visible, "the icon")
        return self

    def __exit__(self, *details):
        self.backend.stop()
        self.running.join(5)

    def Shell_NotifyIcon(self, _code, _data):  # noqa: N802  Windows' name
        return self.is_shell_ready

    def PostMessage(self, _hwnd, number, wparam, lparam):  # noqa: N802  Windows' name
        self.backend._icon.loop.put(lambda: self.send(number, wparam, lparam))

    def send(self, number, wparam=0, lparam=0):
        return self.backend._icon._message_handlers[number](wparam, lparam)


class _Backend(WindowsBackend):
    check_interval_s = 0.01  # on Windows itself the main thread wakes by itself
    end_session_timeout_s = 0.01  # the main thread of these tests does not end


@pytest.mark.parametrize(("text", "whole"), [("abc", "abc"), ("abcdef", "abcd"), ("abc😀", "abc"), ("ab😀c", "ab😀")])
def test_a_text_is_cut_between_characters(text, whole):
    assert cut(text, 4) == whole


def test_logging_out_is_allowed():
    with Windows(FakeProgram(OPEN)) as windows:
        assert windows.send(WM_QUERYENDSESSION) == 1
        assert windows.send(WM_ENDSESSION, 0) == 0
        assert not windows.backend._stop_request.is_made


def test_the_end_of_the_session_stops_it():
    with Windows(FakeProgram(OPEN)) as windows:
        windows.PostMessage(7, WM_ENDSESSION, 1, 0)
        windows.running.join(5)

        assert not windows.running.is_alive()
        windows.backend._thread.join(5)
        assert not windows.backend._thread.is_alive()


def test_the_menu_is_built_when_it_is_shown_and_not_while_it_is_open():
    program = FakeProgram(OPEN)
    with Windows(program) as windows:
        icon = windows.backend._icon
        icon.drawn.clear()
        program.look = Look("running", "Title", (OPEN, Line("quit", "Quit")))

        windows.send(WM_NOTIFY, 0, WM_RBUTTONUP)
        windows.send(WM_NOTIFY, 0, WM_LBUTTONUP)

        assert icon.drawn == [("menu", ["Open", "Quit"]), ("clicked", WM_RBUTTONUP), ("clicked", WM_LBUTTONUP)]


def test_a_refresh_does_not_touch_the_menu():
    program = FakeProgram(OPEN)
    with Windows(program) as windows:
        icon = windows.backend._icon
        icon.drawn.clear()
        program.look = Look("running", "T" * 200, (OPEN,))

        windows.backend.refresh()

        wait_for(lambda: icon.drawn, "the title")
        assert icon.drawn == [("title", "T" * 127)]


def test_a_shell_that_is_not_ready_is_asked_again():
    windows = Windows(FakeProgram(OPEN))
    windows.is_shell_ready = False
    windows.backend._show_again_s = [0.0] * 3
    with windows:
        icon = windows.backend._icon
        wait_for(lambda: [what for what, _ in icon.drawn].count("show") == 4, "three more tries")
        assert not windows.backend.is_shown

        windows.is_shell_ready = True

        assert windows.backend.is_shown


def test_a_notification_is_cut_to_what_windows_holds():
    with Windows(FakeProgram(OPEN)) as windows:
        assert windows.backend.notify("T" * 100, "t" * 300)

        icon = windows.backend._icon
        wait_for(lambda: icon.drawn[-1] == ("notify", ("T" * 63, "t" * 255)), "the notification")


def test_an_ampersand_is_no_access_key():
    with Windows(FakeProgram(Line("tools", "Tools & more"))) as windows:
        assert [item.text for item in windows.backend._icon.menu] == ["Tools && more"]
