"""The tray through pystray, with workarounds for its bugs: what Windows, macOS and XEmbed trays have in common.

pystray's objects are used only on the thread that runs the icon; other threads post tasks to it.
"""

import logging
import os
import threading
from typing import Any

from tray_app.backends.backend import LatestLook, Program
from tray_app.backends.stop_request import StopRequest
from tray_app.backends.task_queue import Task, TaskQueue
from tray_app.menu import TOGGLES, Line

STOP_TIMEOUT_S = 2.0
MAX_EARLY_NOTIFICATIONS = 5  # that wait for the icon; the last ones

log = logging.getLogger(__name__)


def load_pystray(variant: str) -> Any:
    """Import pystray for one system: win32, darwin or xorg.

    Raises what that system's libraries raise; without a display that is Xlib.error.DisplayNameError, no ImportError.
    """
    # pystray reads this once, at import; programs we start must not see it.
    before = os.environ.get("PYSTRAY_BACKEND")
    os.environ["PYSTRAY_BACKEND"] = variant
    try:
        import pystray  # type: ignore[import-untyped]  # noqa: PLC0415  ships no types; importing it opens the display
    finally:
        del os.environ["PYSTRAY_BACKEND"]
        if before is not None:
            os.environ["PYSTRAY_BACKEND"] = before
    return pystray


class PystrayBackend:
    """Run pystray's icon on a thread of its own, while the main thread waits for signals and `stop`."""

    name = "pystray"
    can_notify = True
    icon_px = 64
    check_interval_s: float | None = None

    def __init__(self, pystray: Any, program: Program, reason: str) -> None:
        self.reason = reason
        self._pystray = pystray
        self._program = program
        self._latest = LatestLook(program.look)
        self._tasks = TaskQueue()
        self._stop_request = StopRequest()
        self._is_refresh_due = False
        self._drawn = self._latest.current
        self._icon = self._make_icon()
        self._early_notifications: list[tuple[str, str]] = []  # the icon's thread alone
        self._thread = threading.Thread()

    @property
    def is_shown(self) -> bool:
        """Whether the icon was given to the system's tray; any thread."""
        return bool(self._icon.visible)

    def run(self) -> None:
        """Show the icon until `stop`; main thread only."""
        self._start_icon()
        while not self._stop_request.wait(self.check_interval_s):
            self._check_icon()
        self._end_icon()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._stop_request.make()

    def refresh(self) -> None:
        """Show the current icon and tooltip soon; any thread. The menu is read when it opens."""
        if not self._is_refresh_due:
            self._is_refresh_due = True
            self._on_icon_thread(self._refresh_now)

    def notify(self, title: str, text: str) -> bool:
        """Show a notification; any thread. What comes before the icon waits for it: the system drops it otherwise."""
        if not self.can_notify:
            return False
        self._on_icon_thread(lambda: self._notify_now(title, text))
        return True

    def _notify_now(self, title: str, text: str) -> None:
        if self.is_shown:
            self._icon.notify(text, title)
        else:
            self._early_notifications = [*self._early_notifications, (title, text)][-MAX_EARLY_NOTIFICATIONS:]

    def _make_icon(self) -> Any:
        look = self._drawn
        menu = self._pystray.Menu(self._items)
        icon_class = self._icon_class()
        return icon_class(self._program.app_id, self._picture(look.icon), self._title(look.tooltip), menu)

    def _icon_class(self) -> Any:
        return self._pystray.Icon

    def _start_icon(self) -> None:
        self._thread = threading.Thread(target=self._run_icon, args=(self._icon,), name="tray-icon", daemon=True)
        self._thread.start()

    def _end_icon(self) -> None:
        self._on_icon_thread(self._icon.stop)
        self._thread.join(STOP_TIMEOUT_S)

    def _run_icon(self, icon: Any) -> None:
        """Run pystray's loop on the icon's thread."""
        try:
            icon.run(lambda _: self._on_icon_thread(self._show))
        except Exception:
            log.exception("the tray icon could not be run")
            # Its set-up thread waits for a loop that will never start, and would keep the process from ending.
            icon._Icon__queue.put(False)
        finally:
            icon._running = False  # or its finalizer would wait for the loop, which has ended

    def _show(self) -> None:
        self._icon.visible = True
        waiting, self._early_notifications = self._early_notifications, []
        for title, text in waiting:
            self._notify_now(title, text)

    def _check_icon(self) -> None:
        """Check the icon every `check_interval_s`; main thread only."""

    def _on_icon_thread(self, task: Task) -> None:
        """Run a task on the icon's thread; any thread."""
        self._tasks.post(task)
        self._wake()

    def _wake(self) -> None:
        """Make the icon's thread call `_run_tasks` soon; any thread."""
        raise NotImplementedError

    def _run_tasks(self, *_: object) -> int:
        self._tasks.run_due()
        return 0

    def _refresh_now(self) -> None:
        self._is_refresh_due = False  # first, so that a change from now on causes another refresh
        before, look = self._drawn, self._latest.again()
        self._drawn = look
        if look.icon != before.icon:
            self._icon.icon = self._picture(look.icon)
        if look.tooltip != before.tooltip:
            self._icon.title = self._title(look.tooltip)

    def _picture(self, state: str) -> Any:
        return self._program.icon(state, self.icon_px)

    def _title(self, title: str) -> str:
        return title

    def _label(self, label: str) -> str:
        return label

    def _items(self) -> tuple[Any, ...]:
        return tuple(self._item(line) for line in self._latest.again().lines)

    def _item(self, line: Line) -> Any:
        """Return one menu line; a click only passes its key on."""
        if line.kind == "separator":
            return self._pystray.Menu.SEPARATOR
        if line.kind == "submenu":
            below = self._pystray.Menu(*(self._item(child) for child in line.children))
            return self._pystray.MenuItem(self._label(line.label), below, enabled=line.enabled)

        def act(_icon: Any, _item: Any) -> None:  # pystray counts the parameters and allows only these two
            if line.is_clickable:
                self._program.on_click(line.key)

        about: dict[str, Any] = {"default": line.is_default, "enabled": line.enabled}
        if line.kind in TOGGLES:
            about |= {"checked": lambda _: line.checked, "radio": line.kind == "radio"}
        return self._pystray.MenuItem(self._label(line.label), act, **about)
