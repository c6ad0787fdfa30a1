"""Threads for what tools do: one for each call that may block, loops for all that await. None is the proxy's loop.

A thread cannot be ended from outside. One whose call ran into its limit is left behind and counted; an exception is
raised in it, which ends what is written in Python, and what waits in C where it comes back from there. At the program's
end none of them is waited for.
"""

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from proxy.tools.tool import CallFailed

T = TypeVar("T")

MAX_THREADS = 64
STOP_S = 2.0
BEGIN_S = 1.0  # a loop that has not begun a call by then is held by one that never awaits
SHARED = ""  # the loop of what is known to await: MCP servers


class LeftBehind(BaseException):
    """Raised in a thread whose work nobody waits for any more."""


@dataclass
class Lane:
    """An event loop in a thread of its own."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread


@dataclass
class Job(Generic[T]):
    """Work for a lane, which begins there once or is taken back."""

    make: Callable[[], Coroutine[Any, Any, T]]
    begun: "Future[None]" = field(default_factory=Future)
    claiming: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.begun.set_running_or_notify_cancel()  # who waits for it may give up, and it is still set

    def claim(self) -> bool:
        """Take it, to begin it or to take it back: True once."""
        return self.claiming.acquire(blocking=False)

    async def run(self) -> T:
        """Begin it, on the lane's loop."""
        if not self.claim():
            raise asyncio.CancelledError
        self.begun.set_result(None)
        return await self.make()


class Workers:
    """Start work in other threads. For any thread."""

    def __init__(self, name: str = "tool") -> None:
        self._name = name
        self._free_threads = threading.Semaphore(MAX_THREADS)
        self._starting = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._calls: dict[Future[Any], threading.Thread] = {}

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function in a thread of its own; raises CallFailed where too many still run."""
        self._take_thread()
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only left behind

        def run() -> None:
            try:
                pass_on(function, future)
            except LeftBehind:  # raised behind the function's end
                pass
            finally:
                self._calls.pop(future, None)
                self._free_threads.release()

        thread = self._calls[future] = threading.Thread(target=run, name=f"{self._name}-call", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no thread left
            self._calls.pop(future, None)
            self._free_threads.release()
            raise CallFailed("too many", "No thread could be started for the tool.") from error
        return future

    def leave(self, future: "Future[Any]") -> None:
        """Leave a call behind: what it runs is asked to end."""
        thread = self._calls.get(future)
        if thread is not None:
            interrupt(thread)

    async def begin(self, lane_name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Await a coroutine on the loop of that name, and return once it has begun; raises CallFailed.

        A loop that is blocked is left behind, and a new one takes its place. Cancelling the future cancels what it is.
        """
        while True:
            lane = self._lane(lane_name)
            job = Job(make)
            future = asyncio.run_coroutine_threadsafe(job.run(), lane.loop)
            try:
                await asyncio.wait({asyncio.wrap_future(job.begun)}, timeout=BEGIN_S)
            except asyncio.CancelledError:
                future.cancel()
                raise
            if not job.claim():
                return future
            self._leave_lane(lane_name, lane)

    async def leave_if_blocked(self, lane_name: str) -> None:
        """Leave the loop of that name behind where it does not come round to anything new."""
        lane = self._lanes.get(lane_name)
        if lane is None:
            return
        answered: Future[None] = Future()
        answered.set_running_or_notify_cancel()
        lane.loop.call_soon_threadsafe(answered.set_result, None)
        await asyncio.wait({asyncio.wrap_future(answered)}, timeout=BEGIN_S)
        if not answered.done():
            self._leave_lane(lane_name, lane)

    def await_(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Await a coroutine that never blocks, on the shared loop; cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._lane(SHARED).loop)

    def stop(self) -> None:
        """Cancel what awaits and end the loops' threads; a later call starts new ones."""
        with self._starting:
            lanes = list(self._lanes.values())
            self._lanes = {}
        for lane in lanes:
            asyncio.run_coroutine_threadsafe(cancel_all(), lane.loop).add_done_callback(
                lambda _, loop=lane.loop: loop.call_soon_threadsafe(loop.stop)  # type: ignore[misc]  # bound early
            )
        ends = time.monotonic() + STOP_S
        for lane in lanes:
            lane.thread.join(max(ends - time.monotonic(), 0))

    def _take_thread(self) -> None:
        if not self._free_threads.acquire(blocking=False):
            raise CallFailed("too many", f"Too many tools are still running ({MAX_THREADS}).")

    def _lane(self, name: str) -> Lane:
        with self._starting:
            if name not in self._lanes:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=run_loop, args=(loop,), name=f"{self._name}-loop", daemon=True)
                thread.start()
                self._lanes[name] = Lane(loop, thread)
            return self._lanes[name]

    def _leave_lane(self, name: str, lane: Lane) -> None:
        """Put nothing in the place of a lane that is blocked; raises CallFailed where too many are."""
        with self._starting:
            if self._lanes.get(name) is not lane:
                return
            self._take_thread()
            del self._lanes[name]
        lane.loop.call_soon_threadsafe(self._end_left_lane, lane.loop)
        interrupt(lane.thread)

    def _end_left_lane(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop a loop that has come round after all."""
        self._free_threads.release()
        loop.stop()


def pass_on(function: Callable[[], T], future: "Future[T]") -> None:
    """Call a function and give its result or its failure to a future."""
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  a thread's body passes every failure on
        future.set_exception(error)
    else:
        future.set_result(result)


def interrupt(thread: threading.Thread) -> None:
    """Raise LeftBehind in a thread, where it next runs Python."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(LeftBehind))


def run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    except LeftBehind:
        pass
    finally:
        loop.close()


async def cancel_all() -> None:
    """Cancel every other task of this loop and give them a moment to end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=STOP_S / 2)
