"""Tools as the rest of the program knows them. While they are off, none of their machinery is imported."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.settings.model import Settings
from proxy.stream.relay import Answer
from proxy.tools.consent import Consent
from proxy.tools.loop.request import ToolRequest
from proxy.tools.loop.trace import Traces

PATHS = ("/chat/completions", "/responses")  # where a model can ask for tools

if TYPE_CHECKING:
    from proxy.tools.room import ToolRoom


class ToolExecution:
    """The door to the tools. For any thread."""

    def __init__(self, settings: Callable[[], Settings], default_file: Callable[[], Path], consent: Consent) -> None:
        self.consent = consent
        self.traces = Traces()
        self._settings = settings
        self._default_file = default_file
        self._opening = threading.Lock()
        self._room: ToolRoom | None = None

    async def open(self, request: ToolRequest) -> Answer:
        """Return the answer to a request whose model may call our tools; raises ProxyError."""
        if self._room is None:
            await self.warm_up()
        return await self.room().open(request)

    async def warm_up(self) -> None:
        """Put the machinery together in a worker thread."""
        await asyncio.get_running_loop().run_in_executor(None, self.room)

    def room(self) -> "ToolRoom":
        """Return the machinery, put together at the first use; that takes a tenth of a second."""
        with self._opening:
            if self._room is None:
                from proxy.tools.room import ToolRoom  # noqa: PLC0415  who runs no tools does not pay for it

                self._room = ToolRoom(self._settings, self.file_path, self.consent, self.traces)
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
