"""The tools of function_tools.py, loaded anew when the file changes; a broken file keeps the last good ones."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from proxy.tools.loader import BrokenToolsFile, LoadedTools, load_tools
from proxy.tools.tool import CallFailed, Tool
from proxy.tools.workers import Workers

LOAD_LIMIT_S = 10.0

Stamp = tuple[Path, int, int, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """A load that goes on in a thread of its own."""

    stamp: Stamp | None  # of the file as it was when the load began
    done: "Future[None]"


class FileSource:
    """Hold what the file held when it was last looked at. For any thread."""

    def __init__(self, path: Callable[[], Path], workers: Workers, load_limit_s: float = LOAD_LIMIT_S) -> None:
        self._path = path
        self._workers = workers
        self._load_limit_s = load_limit_s
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None  # of what was last loaded, found broken or given up
        self._loaded = LoadedTools()
        self._loading: Loading | None = None
        self._given_up: Loading | None = None  # it goes on, and may yet end
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
        """Load the file where it has changed, in a worker thread; a load that takes too long is left behind."""
        path = self._path()
        stamp = stamp_of(path)
        with suppress(CallFailed):  # too many tools still run; the last good set goes on
            loading = self._begin(path, stamp)
            if loading is None:
                return
            await asyncio.wait({asyncio.wrap_future(loading.done)}, timeout=self._load_limit_s)
            if not loading.done.done():
                self._give_up(path, loading)

    def load(self) -> None:
        """Load the file where it has changed, here and now."""
        path = self._path()
        stamp = stamp_of(path)
        if stamp != self._stamp:
            self._load(path, stamp)

    def _begin(self, path: Path, stamp: Stamp | None) -> Loading | None:
        """Return the load of the file as it is now, begun if nobody has; None where it is known."""
        with self._lock:
            if stamp == self._stamp:
                return None
            # A load of an older file may hang: it is not waited for, and what it finds is not used.
            if self._loading is None or self._loading.stamp != stamp:
                for useless in filter(None, (self._loading, self._given_up)):
                    self._workers.leave(useless.done)
                self._loading, self._given_up = (
                    Loading(stamp, self._workers.call(lambda: self._load(path, stamp))),
                    None,
                )
            return self._loading

    def _load(self, path: Path, stamp: Stamp | None) -> None:
        """Run the file and keep what it holds, unless the file has changed meanwhile."""
        broken: BrokenToolsFile | None = None
        loaded = LoadedTools()
        try:
            loaded = load_tools(path) if stamp else loaded
        except BrokenToolsFile as error:
            broken = error
        with self._lock:
            if stamp_of(path) != stamp:
                return
            self._stamp = stamp
            self._loading = None
            self.problem = str(broken) if broken else None
            if broken is None:
                self._loaded = loaded
        if broken is not None:
            log.error("%s. The tools it held before stay in use.", broken)
        for sentence in loaded.left_out:
            log.info("%s: %s", path.name, sentence)

    def _give_up(self, path: Path, loading: Loading) -> None:
        """Leave a load behind. Should it end after all while the file is the same, what it found is used."""
        with self._lock:
            if self._loading is not loading:
                return
            self._stamp = loading.stamp
            self._loading, self._given_up = None, loading
            self.problem = (
                f"{path.name} was not loaded within {self._load_limit_s:g} seconds. "
                "Its load was left behind, and it is loaded again when it changes"
            )
        log.error("%s. The tools it held before stay in use.", self.problem)


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does, None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size, found.st_ino
