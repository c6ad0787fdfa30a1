"""Where the program and a tray backend meet: what a backend asks of the program, and what it offers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image

from tray_app.menu import Look

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """Name what a backend needs of the program; the tray's thread calls all three, so none may block."""

    app_id: str
    look: Callable[[], Look]
    icon: Callable[[str, int], Image]  # the state's name, the size in pixels
    on_click: Callable[[str], None]  # the clicked line's key; only hands it on


class Backend(Protocol):
    """Show the program's look until told to stop."""

    @property
    def name(self) -> str:
        """How the log calls this backend."""

    @property
    def why(self) -> str:
        """Why this backend was chosen, as a sentence for the log."""

    @property
    def is_shown(self) -> bool:
        """Whether a panel has really taken the icon; any thread."""

    @property
    def can_notify(self) -> bool:
        """Whether this tray has notifications of its own; any thread."""

    def run(self) -> None:
        """Show the icon and return after `stop`, or when the desktop goes away; main thread only, once."""

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers, a second call does nothing."""

    def refresh(self) -> None:
        """Look at the program again, soon; any thread, never blocks."""

    def notify(self, title: str, text: str) -> bool:
        """Show a notification of the tray's own; any thread. False where it has none, or not now."""


class LatestLook:
    """Look at the program, and keep the last look where the program fails to give one."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self.current = look()

    def again(self) -> Look:
        """Look again; tray thread only."""
        try:
            self.current = self._look()
        except Exception:
            log.exception("the tray could not look at the program")
        return self.current
