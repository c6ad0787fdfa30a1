"""Copy to the Windows clipboard, through user32 and kernel32."""

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tray_app.errors import ClipboardUnavailable

assert sys.platform == "win32"  # noqa: S101  by this mypy knows that the file is for one system

CF_UNICODETEXT = 13
GMEM_MOVEABLE = 2
ATTEMPTS = 20
RETRY_S = 0.05

NUMBER, SIZE, TEXT, HANDLE = ctypes.c_int, ctypes.c_size_t, ctypes.c_wchar_p, ctypes.c_void_p
# Result and argument types of each function; without them ctypes truncates handles to 32 bits.
SIGNATURES: dict[tuple[str, str], tuple[Any, ...]] = {
    ("user32", "CreateWindowExW"): (HANDLE, NUMBER, TEXT, TEXT, *[NUMBER] * 5, *[HANDLE] * 4),
    ("user32", "DestroyWindow"): (NUMBER, HANDLE),
    ("user32", "OpenClipboard"): (NUMBER, HANDLE),
    ("user32", "EmptyClipboard"): (NUMBER,),
    ("user32", "SetClipboardData"): (HANDLE, NUMBER, HANDLE),
    ("user32", "CloseClipboard"): (NUMBER,),
    ("kernel32", "GlobalAlloc"): (HANDLE, NUMBER, SIZE),
    ("kernel32", "GlobalLock"): (HANDLE, HANDLE),
    ("kernel32", "GlobalUnlock"): (NUMBER, HANDLE),
    ("kernel32", "GlobalFree"): (HANDLE, HANDLE),
}


class WindowsClipboard:
    """Copy text, which stays after we have exited."""

    def copy(self, text: str) -> None:
        """Put a text on the clipboard; raises ClipboardUnavailable. May be called on any thread."""
        with owner_window() as window, opened_clipboard(window):
            memory = memory_with(text.encode("utf-16-le", "surrogatepass") + b"\0\0")
            if not call("user32", "EmptyClipboard") or not call("user32", "SetClipboardData", CF_UNICODETEXT, memory):
                reason = last_error()
                call("kernel32", "GlobalFree", memory)  # on success the system owns it and frees it
                raise ClipboardUnavailable(reason)

    def close(self) -> None:
        """Do nothing: the text is the system's."""


@contextmanager
def owner_window() -> Iterator[int]:
    """Yield a hidden window: an emptied clipboard accepts data only from a window."""
    window = checked(call("user32", "CreateWindowExW", 0, "STATIC", None, 0, 0, 0, 0, 0, None, None, None, None))
    try:
        yield window
    finally:
        call("user32", "DestroyWindow", window)


@contextmanager
def opened_clipboard(window: int) -> Iterator[None]:
    """Open the clipboard for a window; raises ClipboardUnavailable.

    Waits up to a second while another program has it open.
    """
    for _ in range(ATTEMPTS):
        if call("user32", "OpenClipboard", window):
            break
        time.sleep(RETRY_S)
    else:
        raise ClipboardUnavailable("another program keeps it open")
    try:
        yield
    finally:
        call("user32", "CloseClipboard")


def memory_with(content: bytes) -> int:
    """Return a handle of movable memory with the content."""
    memory = checked(call("kernel32", "GlobalAlloc", GMEM_MOVEABLE, len(content)))
    ctypes.memmove(checked(call("kernel32", "GlobalLock", memory)), content, len(content))
    call("kernel32", "GlobalUnlock", memory)
    return memory


def checked(handle: int | None) -> int:
    """Return a handle; raises ClipboardUnavailable if it is null."""
    if not handle:
        raise ClipboardUnavailable(last_error())
    return handle


def call(library: str, name: str, *arguments: Any) -> Any:
    """Call a function of the system and return what it returns."""
    function = getattr(ctypes.WinDLL(library, use_last_error=True), name)
    function.restype, *function.argtypes = SIGNATURES[library, name]
    return function(*arguments)


def last_error() -> str:
    """Return the system's message for the last error."""
    return ctypes.WinError(ctypes.get_last_error()).strerror or "Windows gave no reason"
