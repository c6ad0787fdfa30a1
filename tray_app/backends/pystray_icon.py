"""The tray through pystray, with its faults mended: what Windows, macOS and XEmbed trays have in common.

pystray's objects are touched only on the thread that runs the icon; everybody else hands that thread tasks.
"""

import logging
import os
import threading
from typing import Any

from tray_app.backends.agenda import Agenda, Task
from tray_app.backends.backend import LatestLook, Program
from tray_app.backends.stopping import Stopping
from tray_app.menu import Line

END_LIMIT_S = 2.0

log = logging.getLogger(__name__)


def load_pystray(variant: str) -> Any:
    """Import pystray for one system: win32, darwin or xorg.

    Raises what that system's libraries raise; without a display that is Xlib.error.DisplayNameError, no ImportError.
    """
    # pystray reads this once, when imported; programs we start are not meant to see it.
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
    """Show the icon with pystray in a thread of its own, while the main thread waits for signals and `stop`."""

    name = "pystray"
    can_notify = True
    icon_px = 64
    watch_every_s: float | None = None

    def __init__(self, pystray: Any, program: Program, why: str) -> None:
        self.why = why
        self._pystray = pystray
        self._program = program
        self._latest = LatestLook(program.look)
        self._agenda = Agenda()
        self._stopping = Stopping()
        self._is_look_asked = False
        self._drawn = self._latest.current
        self._icon = self._make_icon()
        self._thread = threading.Thread()

    @property
    def is_shown(self) -> bool:
        """Whether the icon was given to the system's tray; any thread."""
        return bool(self._icon.visible)

    def run(self) -> None:
        """Show the icon until `stop`; main thread only."""
        self._start_icon()
        while not self._stopping.wait(self.watch_every_s):
            self._watch()
        self._end_icon()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._stopping.ask()

    def refresh(self) -> None:
        """Look at the program again, soon; any thread. The menu is looked at when it is shown."""
        if not self._is_look_asked:
            self._is_look_asked = True
            self._in_owner(self._look_again)

    def notify(self, title: str, text: str) -> bool:
        """Hand a notification to the system; any thread. False while there is no icon for it to come from."""
        if not (self.can_notify and self.is_shown):
            return False
        self._in_owner(lambda: self._icon.notify(text, title))
        return True

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
        self._in_owner(self._icon.stop)
        self._thread.join(END_LIMIT_S)

    def _run_icon(self, icon: Any) -> None:
        """Run pystray's loop; it owns the icon's thread."""
        try:
            icon.run(lambda _: self._in_owner(self._show))
        except Exception:
            log.exception("the tray icon could not be run")
            # Its set-up thread waits for a loop that will never be; left waiting, the process could not end.
            icon._Icon__queue.put(False)
        finally:
            icon._running = False  # or, when collected, it would wait for the loop that has ended

    def _show(self) -> None:
        self._icon.visible = True

    def _watch(self) -> None:
        """Look after the icon every `watch_every_s`; main thread only."""

    def _in_owner(self, task: Task) -> None:
        """Have the icon's thread run a task; any thread."""
        self._agenda.post(task)
        self._wake()

    def _wake(self) -> None:
        """Have the icon's thread call `_run_tasks` soon; any thread."""
        raise NotImplementedError

    def _run_tasks(self, *_: object) -> int:
        self._agenda.run_due()
        return 0

    def _look_again(self) -> None:
        self._is_look_asked = False  # first, so that a change during the look asks for another
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
        """Draw one menu line; a click only hands its key on."""
        if line.kind == "separator":
            return self._pystray.Menu.SEPARATOR
        if line.kind == "submenu":
            below = self._pystray.Menu(*(self._item(child) for child in line.children))
            return self._pystray.MenuItem(self._label(line.label), below, enabled=line.enabled)

        def act(_icon: Any, _item: Any) -> None:  # pystray counts the parameters and takes no more than these two
            if line.is_clickable:
                self._program.on_click(line.key)

        about: dict[str, Any] = {"default": line.is_default, "enabled": line.enabled}
        if line.kind == "check":
            about["checked"] = lambda _: line.checked
        return self._pystray.MenuItem(self._label(line.label), act, **about)
