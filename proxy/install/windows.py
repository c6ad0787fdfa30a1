"""Windows' part: a shortcut in the Start menu, and the Run key of the registry."""

import ctypes
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from proxy.install.writing import writable

RUN_KEY = r"HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Run"
SUBKEY = RUN_KEY.partition("\\")[2]
APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"  # what the Task Manager writes

CLSCTX_INPROC_SERVER = 1
SHELL_LINK = "00021401-0000-0000-C000-000000000046"
I_SHELL_LINK = "000214F9-0000-0000-C000-000000000046"
I_PERSIST_FILE = "0000010B-0000-0000-C000-000000000046"
# Places in the tables of methods (shobjidl_core.h, objidl.h)
QUERY_INTERFACE, RELEASE = 0, 2
SET_DESCRIPTION, SET_FOLDER, SET_ARGUMENTS, SET_ICON, SET_PATH = 7, 9, 11, 17, 20
SAVE = 6

if sys.platform == "win32":
    import winreg

    def is_in_run_key(name: str) -> bool:
        """Return whether Windows starts this at login: it is in the Run key, and not switched off since."""
        return read_value(SUBKEY, name) is not None and not is_switched_off(read_value(APPROVED, name))

    def write_run_key(name: str, words: list[str]) -> None:
        """Have Windows start these words at login; raises InstallationFailed."""
        with writable(Path(RUN_KEY)):
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, SUBKEY) as key:
                winreg.SetValueEx(key, name, 0, winreg.REG_SZ, subprocess.list2cmdline(words))
            delete_value(APPROVED, name)

    def delete_run_key(name: str) -> None:
        """Have Windows start it no more; raises InstallationFailed."""
        with writable(Path(RUN_KEY)):
            delete_value(SUBKEY, name)
            delete_value(APPROVED, name)

    def read_value(subkey: str, name: str) -> object:
        """Return a value of the user's registry, None where there is none."""
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, subkey) as key:
                return winreg.QueryValueEx(key, name)[0]
        except FileNotFoundError:
            return None

    def delete_value(subkey: str, name: str) -> None:
        """Delete a value of the user's registry, where there is one."""
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, subkey, 0, winreg.KEY_SET_VALUE) as key:
                winreg.DeleteValue(key, name)
        except FileNotFoundError:
            pass

    def write_shortcut(file: Path, words: list[str], about: str, icon: Path) -> None:
        """Write a shortcut that starts these words; raises OSError."""
        ole32 = ctypes.OleDLL("ole32")
        ole32.CoUninitialize.restype = None
        ole32.CoInitialize(None)
        link, saver = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            ole32.CoCreateInstance(guid(SHELL_LINK), None, CLSCTX_INPROC_SERVER, guid(I_SHELL_LINK), ctypes.byref(link))
            call(link, SET_PATH, words[0])
            call(link, SET_ARGUMENTS, subprocess.list2cmdline(words[1:]))
            call(link, SET_DESCRIPTION, about)
            call(link, SET_FOLDER, str(Path.home()))
            call(link, SET_ICON, str(icon), 0)
            call(link, QUERY_INTERFACE, guid(I_PERSIST_FILE), ctypes.byref(saver))
            call(saver, SAVE, str(file), 1)
        finally:
            for held in (saver, link):
                if held:
                    release(held)
            ole32.CoUninitialize()

    def guid(text: str) -> ctypes.Array[ctypes.c_char]:
        """Return a GUID as COM takes it."""
        return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)

    def call(held: ctypes.c_void_p, place: int, *arguments: Any) -> None:
        """Call a method of a COM object; raises OSError."""
        kinds = [
            ctypes.c_wchar_p if isinstance(it, str) else ctypes.c_int if isinstance(it, int) else ctypes.c_void_p
            for it in arguments
        ]
        given = [it if isinstance(it, (str, int)) else ctypes.cast(it, ctypes.c_void_p) for it in arguments]
        method(held, place, ctypes.HRESULT, *kinds)(held, *given)

    def release(held: ctypes.c_void_p) -> None:
        """Let go of a COM object; its answer is a count, never an error."""
        method(held, RELEASE, ctypes.c_ulong)(held)

    def method(held: ctypes.c_void_p, place: int, answer: type, *kinds: type) -> "ctypes._FuncPointer":
        """Return a method of a COM object by its place in the table."""
        table = ctypes.cast(held, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
        return ctypes.WINFUNCTYPE(answer, ctypes.c_void_p, *kinds)(table[place])


def is_switched_off(approved: object) -> bool:
    """Return whether the Task Manager has switched an entry off: an odd first byte says so."""
    return isinstance(approved, bytes) and len(approved) > 0 and approved[0] % 2 == 1
