"""The tools of function_tools.py, loaded anew when the file changes; a broken file keeps the last good ones.

The file runs in a process of its own, of which there is one as long as there are tools in it. What changes here does so
on one loop; the tools and the problem are read from any thread.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import TimeoutError as WaitTimeout
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from proxy.tools.functions.frames import Message
from proxy.tools.functions.memory import memory_limit
from proxy.tools.functions.process import FunctionsProcess, ProcessEnded
from proxy.tools.functions.restarts import Restarts
from proxy.tools.mcp.orphans import Orphans
from proxy.tools.runner import CallLimits
from proxy.tools.tool import CallFailed, Tool
from proxy.tools.workers import Workers

LOAD_LIMIT_S = 10.0
LATE_LOAD_S = 120.0  # a load that was given up is ended after that
STOP_S = 4.0

Stamp = tuple[Path, int, int, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """A load that goes on."""

    stamp: Stamp | None  # of the file as it was when the load began
    task: "asyncio.Task[None]"
    begun: asyncio.Event  # the file runs, or never will


@dataclass(frozen=True)
class LastGood:
    """What was loaded last without a mistake."""

    path: Path
    tools: tuple[Tool, ...] = ()
    left_out: tuple[str, ...] = ()
    source: str | None = None  # the file as it was, for a process that has to begin anew


class FileSource:
    """Hold what the file held when it was last looked at, and the process that runs it. For any thread."""

    def __init__(
        self,
        path: Callable[[], Path],
        limits: Callable[[], CallLimits],
        load_limit_s: float = LOAD_LIMIT_S,
        memory_bytes: int | None = None,
    ) -> None:
        self._path = path
        self._limits = limits
        self._load_limit_s = load_limit_s
        self._memory_bytes = memory_bytes or memory_limit()
        self._workers = Workers("functions")
        self._orphans = Orphans()
        self._stamp: Stamp | None = None  # of what was last loaded, found broken or given up
        self._good = LastGood(Path())
        self._loading: Loading | None = None
        self._given_up: Loading | None = None  # it goes on, and may yet end
        self._process: FunctionsProcess | None = None
        self._processes: set[FunctionsProcess] = set()  # all that have been started and not ended
        self._restarting: asyncio.Task[FunctionsProcess] | None = None
        self._restarts = Restarts()
        self._is_in_use = False
        self.problem: str | None = None  # what is wrong with the file as it is now

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the last good set; the same object while nothing has changed."""
        return self._good.tools

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return a sentence for each function that is no tool."""
        return self._good.left_out

    @property
    def is_stale(self) -> bool:
        """Tell whether the file has changed."""
        return stamp_of(self._path()) != self._stamp

    async def refresh(self) -> None:
        """Load the file where it has changed; a load that takes too long is left behind."""
        if self.is_stale:
            await asyncio.wait({self._on_loop(self._refresh())})

    def stop(self) -> None:
        """End the process and what it has started; a later call starts a new one."""
        if not self._is_in_use:
            return
        with suppress(WaitTimeout):
            self._workers.await_(self._end_all()).result(STOP_S)
        self._workers.stop()
        self._is_in_use = False

    def _on_loop(self, work: Any) -> "asyncio.Future[Any]":
        """Do something on the loop of the process; cancelling what is returned cancels it there."""
        self._is_in_use = True
        return asyncio.wrap_future(self._workers.await_(work))

    async def _refresh(self) -> None:
        path = self._path()
        stamp = stamp_of(path)
        if stamp == self._stamp:
            return
        # A load of an older file may hang: it is not waited for, and its process is ended.
        if self._loading is None or self._loading.stamp != stamp:
            for useless in filter(None, (self._loading, self._given_up)):
                useless.task.cancel()
            begun = asyncio.Event()
            task = asyncio.get_running_loop().create_task(self._load(path, stamp, begun))
            self._loading, self._given_up = Loading(stamp, task, begun), None
        loading = self._loading
        await loading.begun.wait()
        await asyncio.wait({loading.task}, timeout=self._load_limit_s)
        if not loading.task.done():
            self._give_up(path, loading)

    async def _load(self, path: Path, stamp: Stamp | None, begun: asyncio.Event) -> None:
        """Run the file and keep what it holds, unless the file has changed meanwhile."""
        process: FunctionsProcess | None = None
        answer: Message = {"tools": [], "left_out": [], "source": None}
        if stamp is not None:
            process, answer = await self._run_file(path, None, LATE_LOAD_S + self._load_limit_s, begun)
        begun.set()
        is_broken = "broken" in answer
        if process is not None and (is_broken or not answer["tools"] or stamp_of(path) != stamp):
            process.retire()
        if stamp_of(path) != stamp:
            return
        self._stamp, self._loading = stamp, None
        self.problem = answer["broken"] if is_broken else None
        if is_broken:
            log.error("%s. The tools it held before stay in use.", self.problem)
            return
        before, self._process = self._process, process if answer["tools"] else None
        if before is not None:
            before.retire()
        tools = tuple(self._tool(path, definition) for definition in answer["tools"])
        self._good = LastGood(path, tools, tuple(answer["left_out"]), answer["source"])
        for sentence in self._good.left_out:
            log.info("%s: %s", path.name, sentence)

    async def _run_file(
        self, path: Path, source: str | None, limit_s: float, begun: asyncio.Event
    ) -> tuple[FunctionsProcess | None, Message]:
        """Return a process that has loaded the file and what it says of it; cancelled, it is ended.

        `begun` is set once the process runs: to start it takes its own time.
        """
        process = FunctionsProcess(path, self._orphans, self._note_end)
        self._processes = {each for each in self._processes if not each.is_over} | {process}
        try:
            await process.start()
            begun.set()
            return process, await asyncio.wait_for(process.load(source, self._memory_bytes), limit_s)
        except asyncio.TimeoutError:  # before OSError, of which it is one since Python 3.11
            process.kill()
            return None, {"broken": f"{path.name} was not loaded within {limit_s:g} seconds"}
        except OSError as error:
            return None, {"broken": f"{path.name}: its process could not be started ({error.strerror or error})"}
        except ProcessEnded as ended:
            words = process.output.told()
            told = f"{path.name}: its process ended while the file was loaded ({ended})"
            return None, {"broken": f"{told}. It last wrote: {words}" if words else told}
        except asyncio.CancelledError:
            process.kill()
            raise
        finally:
            begun.set()

    def _give_up(self, path: Path, loading: Loading) -> None:
        """Leave a load behind. Should it end after all while the file is the same, what it found is used."""
        if self._loading is not loading:
            return
        self._stamp = loading.stamp
        self._loading, self._given_up = None, loading
        self.problem = (
            f"{path.name} was not loaded within {self._load_limit_s:g} seconds. "
            "Its load was left behind, and it is loaded again when it changes"
        )
        log.error("%s. The tools it held before stay in use.", self.problem)

    def _tool(self, path: Path, definition: Message) -> Tool:
        name, description, parameters = (definition[key] for key in ("name", "description", "parameters"))
        invoke = partial(self._invoke, name)
        return Tool(name, description, parameters, invoke, is_async=True, source=path.name, keeps_time=True)

    async def _invoke(self, name: str, arguments: str) -> str:
        """Call a tool; raises CallFailed."""
        result: str = await self._on_loop(self._call(name, arguments))
        return result

    async def _call(self, name: str, arguments: str) -> str:
        limits = self._limits()
        process = self._process
        if process is None or not await process.is_well():
            process = await self._restarted()
        return await process.call(name, arguments, limits.seconds, limits.result_bytes)

    async def _restarted(self) -> FunctionsProcess:
        """Return a process in the place of one that has ended, started once for all who wait; raises CallFailed."""
        restarting = self._restarting
        if restarting is None or restarting.done():
            restarting = self._restarting = asyncio.get_running_loop().create_task(self._restart())
        await asyncio.wait({restarting})
        return restarting.result()

    async def _restart(self) -> FunctionsProcess:
        if self._process is not None and await self._process.is_well():  # another call has brought it back
            return self._process
        if left_s := self._restarts.pause_s():
            told = f"The tools' process has ended too often; it can be started again in {math.ceil(left_s)} seconds."
            raise CallFailed("failed", told)
        good = self._good
        process, answer = await self._run_file(good.path, good.source, self._load_limit_s, asyncio.Event())
        if process is None or "broken" in answer or self._good is not good:
            if process is not None:
                process.retire()
            if self._process is not None:  # a change of the file has brought another
                return self._process
            self._restarts.note(has_answered=False)
            raise CallFailed("failed", f"The tool's process could not be started again: {answer.get('broken')}.")
        self._process = process
        return process

    def _note_end(self, process: FunctionsProcess) -> None:
        """Take note of a process that has ended by itself or was held by a function."""
        if process is not self._process:
            return
        self._process = None
        self._restarts.note(has_answered=process.has_answered)
        log.error(
            "The process of %s ended (%s). The next call starts it again, without what its functions had in memory.",
            *(self._good.path.name, process.how),
        )

    async def _end_all(self) -> None:
        for loading in filter(None, (self._loading, self._given_up)):
            loading.task.cancel()
        if self._restarting is not None:
            self._restarting.cancel()
        self._loading = self._given_up = self._restarting = self._process = self._stamp = None
        await asyncio.gather(*(process.stop() for process in self._processes), return_exceptions=True)
        self._processes.clear()
        self._orphans.stop()


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does, None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_size, found.st_ino
