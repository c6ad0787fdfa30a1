"""The tray on macOS: pystray, with AppKit touched on the main thread only, and an icon sharp on Retina screens.

Written after Apple's documentation, pystray's source and the reports of other programs, not yet run on a real Mac.
Touching AppKit on any other thread kills the process on recent systems.
"""

import importlib
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tray_app.backends.backend import Program
from tray_app.backends.macos_icon import RETINA_PX, delegate_class, sharp_icon_class
from tray_app.backends.pystray_icon import PystrayBackend, load_pystray

SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]


@dataclass(frozen=True)
class Cocoa:
    """Name the modules of PyObjC, which only macOS has."""

    appkit: Any
    app_helper: Any
    mach_signals: Any


def macos_backend(program: Program, why: str) -> "MacosBackend":
    """Return the tray of macOS; raises ImportError where PyObjC is missing."""
    pystray = load_pystray("darwin")
    modules = ("AppKit", "PyObjCTools.AppHelper", "PyObjCTools.MachSignals")
    return MacosBackend(pystray, Cocoa(*map(importlib.import_module, modules)), program, why)


class MacosBackend(PystrayBackend):
    """Show the icon in the menu bar; the main thread runs AppKit's loop."""

    name = "pystray on macOS"
    icon_px = RETINA_PX

    def __init__(self, pystray: Any, cocoa: Cocoa, program: Program, why: str) -> None:
        self._cocoa = cocoa
        self._delegate = delegate_class(cocoa.appkit).alloc().init()  # AppKit itself holds it only weakly
        super().__init__(pystray, program, why)
        self._delegate.on_menu_opening = self._icon.refill_menu
        self._delegate.on_power_off = self.stop

    def run(self) -> None:
        """Show the icon until `stop`, or until the user logs out; main thread only."""
        appkit = self._cocoa.appkit
        application = appkit.NSApplication.sharedApplication()
        application.setActivationPolicy_(appkit.NSApplicationActivationPolicyAccessory)  # no icon in the Dock
        appkit.NSWorkspace.sharedWorkspace().notificationCenter().addObserver_selector_name_object_(
            self._delegate, b"willPowerOff:", appkit.NSWorkspaceWillPowerOffNotification, None
        )
        if not self._stopping.is_asked:
            self._run_icon(self._icon)
        for number in SIGNALS:
            signal.signal(number, signal.getsignal(number))  # from here on they come without AppKit's loop

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        super().stop()
        self._in_owner(self._icon.stop)

    def notify(self, title: str, text: str) -> bool:
        """Hand a notification to the system; any thread but the main one, since it starts a program and waits."""
        try:
            self._icon.notify(text, title)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def _make_icon(self) -> Any:
        icon = super()._make_icon()
        icon.menu_delegate = self._delegate
        return icon

    def _icon_class(self) -> Any:
        return sharp_icon_class(self._pystray.Icon, self._cocoa.appkit)

    def _show(self) -> None:
        super()._show()
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):  # Python's own handlers wait for Python code to run, which AppKit's loop does not
                self._cocoa.mach_signals.signal(number, partial(_pass_on, handler))

    def _wake(self) -> None:
        self._cocoa.app_helper.callAfter(self._run_tasks)


def _pass_on(handler: Callable[..., Any], number: int) -> None:
    handler(number, None)
