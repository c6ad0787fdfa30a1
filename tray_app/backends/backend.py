"""The interface between the program and a tray backend."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image

from tray_app.menu import Look

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """What a backend needs from the program; the tray's thread calls all three functions, so none may block."""

    app_id: str
    look: Callable[[], Look]
    icon: Callable[[str, int], Image]  # takes the state's name and the size in pixels
    on_click: Callable[[str], None]  # takes the key of the clicked line and only queues it


class Backend(Protocol):
    """Show the program's look until told to stop."""

    @property
    def name(self) -> str:
        """The backend's name in the log."""

    @property
    def reason(self) -> str:
        """Why this backend was chosen, as a clause for the log."""

    @property
    def is_shown(self) -> bool:
        """Whether a panel shows the icon; any thread."""

    @property
    def can_notify(self) -> bool:
        """Whether this tray has its own notifications; any thread."""

    def run(self) -> None:
        """Show the icon; return after `stop` or when the desktop has gone. Main thread only, once."""

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers, a second call does nothing."""

    def refresh(self) -> None:
        """Show the program's current look soon; any thread, never blocks."""

    def notify(self, title: str, text: str) -> bool:
        """Show a notification and return whether the tray could; any thread."""


class LatestLook:
    """Get the program's look, and keep the last one if that fails."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self.current = look()

    def again(self) -> Look:
        """Get the current look; tray thread only."""
        try:
            self.current = self._look()
        except Exception:
            log.exception("the tray could not get its look")
        return self.current
