"""Tools as the rest of the program knows them. While they are off, none of their machinery is imported."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.settings.model import Settings
from proxy.tools.consent import Consent

if TYPE_CHECKING:
    from proxy.tools.room import ToolRoom


class ToolExecution:
    """The door to the tools. For any thread."""

    def __init__(self, settings: Callable[[], Settings], default_file: Callable[[], Path], consent: Consent) -> None:
        self.consent = consent
        self._settings = settings
        self._default_file = default_file
        self._opening = threading.Lock()
        self._room: ToolRoom | None = None

    def room(self) -> "ToolRoom":
        """Return the machinery, put together at the first use; that takes a tenth of a second."""
        with self._opening:
            if self._room is None:
                from proxy.tools.room import ToolRoom  # noqa: PLC0415  who runs no tools does not pay for it

                self._room = ToolRoom(self._settings, self.file_path)
            return self._room

    def file_path(self) -> Path:
        """Return where the user's functions stand, whether or not they exist."""
        chosen = self._settings().function_tools_file
        return Path(chosen).expanduser() if chosen else self._default_file()

    def stop(self) -> None:
        """End what still runs; a second call does nothing."""
        with self._opening:
            room, self._room = self._room, None
        if room is not None:
            room.stop()
