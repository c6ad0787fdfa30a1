"""The tray on macOS: pystray, with AppKit used only on the main thread, and an icon that is sharp on Retina screens.

Written from Apple's documentation, pystray's source and reports from other programs; not yet run on a real Mac.
Using AppKit on another thread crashes the process on recent systems.
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
    """The modules of PyObjC, which only macOS has."""

    appkit: Any
    app_helper: Any
    mach_signals: Any


def macos_backend(program: Program, reason: str) -> "MacosBackend":
    """Return the tray of macOS; raises ImportError if PyObjC is missing."""
    pystray = load_pystray("darwin")
    modules = ("AppKit", "PyObjCTools.AppHelper", "PyObjCTools.MachSignals")
    return MacosBackend(pystray, Cocoa(*map(importlib.import_module, modules)), program, reason)


class MacosBackend(PystrayBackend):
    """Show the icon in the menu bar; the main thread runs AppKit's loop."""

    name = "pystray on macOS"
    icon_px = RETINA_PX

    def __init__(self, pystray: Any, cocoa: Cocoa, program: Program, reason: str) -> None:
        self._cocoa = cocoa
        self._delegate = delegate_class(cocoa.appkit).alloc().init()  # AppKit holds only a weak reference
        super().__init__(pystray, program, reason)
        self._delegate.on_menu_opening = self._icon.refill_menu
        self._delegate.on_power_off = self.stop

    def run(self) -> None:
        """Show the icon until `stop` or until the user logs out; main thread only."""
        appkit = self._cocoa.appkit
        application = appkit.NSApplication.sharedApplication()
        application.setActivationPolicy_(appkit.NSApplicationActivationPolicyAccessory)  # no icon in the Dock
        appkit.NSWorkspace.sharedWorkspace().notificationCenter().addObserver_selector_name_object_(
            self._delegate, b"willPowerOff:", appkit.NSWorkspaceWillPowerOffNotification, None
        )
        if not self._stop_request.is_made:
            self._run_icon(self._icon)
        for number in SIGNALS:
            signal.signal(number, signal.getsignal(number))  # from here on they arrive without AppKit's loop

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        super().stop()
        self._on_icon_thread(self._icon.stop)

    def notify(self, title: str, text: str) -> bool:
        """Show a notification; any thread but the main one, because it starts a program and waits for it."""
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
            if callable(handler):  # Python runs its handlers between bytecodes, and AppKit's loop runs none
                self._cocoa.mach_signals.signal(number, partial(_pass_on, handler))

    def _wake(self) -> None:
        self._cocoa.app_helper.callAfter(self._run_tasks)


def _pass_on(handler: Callable[..., Any], number: int) -> None:
    handler(number, None)
