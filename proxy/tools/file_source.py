"""The tools of function_tools.py, loaded anew when the file changes; a broken file keeps the last good ones."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from proxy.tools.loader import BrokenToolsFile, LoadedTools, load_tools
from proxy.tools.tool import CallFailed, Tool
from proxy.tools.workers import Workers

LOAD_LIMIT_S = 10.0  # a file that takes longer goes on loading, and the requests go on without it

Stamp = tuple[Path, int, int, int]

log = logging.getLogger(__name__)


class FileSource:
    """Hold what the file held when it was last looked at. For any thread."""

    def __init__(self, path: Callable[[], Path], workers: Workers) -> None:
        self._path = path
        self._workers = workers
        self._loading = threading.Lock()
        self._stamp: Stamp | None = None  # of what was last loaded or found broken
        self._loaded = LoadedTools()
        self._loading_now: Future[None] | None = None
        self._waited_until = 0.0
        self.problem: str | None = None  # what is wrong with the file as it is now

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the last good set; the same object while nothing has changed."""
        return self._loaded.tools

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return a sentence for each function that is no tool."""
        return self._loaded.left_out

    @property
    def is_stale(self) -> bool:
        """Tell whether the file has changed."""
        return stamp_of(self._path()) != self._stamp

    async def refresh(self) -> None:
        """Load the file where it has changed, in a worker thread; a file that takes too long is not waited for."""
        if not self.is_stale:
            return
        if self._loading_now is None or self._loading_now.done():
            with suppress(CallFailed):  # too many tools still run; the last good set goes on
                self._loading_now = self._workers.call(self.load)
                self._waited_until = time.monotonic() + LOAD_LIMIT_S
        if self._loading_now and (left_s := self._waited_until - time.monotonic()) > 0:
            await asyncio.wait({asyncio.wrap_future(self._loading_now)}, timeout=left_s)

    def load(self) -> None:
        """Load the file where it has changed, here and now."""
        with self._loading:
            path = self._path()
            stamp = stamp_of(path)
            if stamp == self._stamp:
                return
            try:
                loaded = load_tools(path) if stamp else LoadedTools()
            except BrokenToolsFile as broken:
                self.problem = str(broken)
                log.error("%s. The tools it held before stay in use.", broken)  # noqa: TRY400  the sentence says it all
            else:
                self.problem = None
                self._loaded = loaded
                for sentence in loaded.left_out:
                    log.info("%s: %s", path.name, sentence)
            self._stamp = stamp


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does, None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size, found.st_ino
