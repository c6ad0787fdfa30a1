"""Threads for what tools do: one for each call that may block, one loop for all that await. None is the proxy's loop.

A thread cannot be ended from outside. One whose call ran into its limit is left behind and counted; at the program's
end none of them is waited for.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from proxy.tools.tool import CallFailed

T = TypeVar("T")

MAX_THREADS = 64
STOP_S = 2.0


class Workers:
    """Start work in other threads. For any thread."""

    def __init__(self, name: str = "tool") -> None:
        self._name = name
        self._free_threads = threading.Semaphore(MAX_THREADS)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None

    def call(self, function: Callable[[], T]) -> "Future[T]":
        """Call a function in a thread of its own; raises CallFailed where too many still run."""
        if not self._free_threads.acquire(blocking=False):
            raise CallFailed("too many", f"Too many tools are still running ({MAX_THREADS}).")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only left behind

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001  a thread's body passes every failure on
                future.set_exception(error)
            finally:
                self._free_threads.release()

        threading.Thread(target=run, name=f"{self._name}-call", daemon=True).start()
        return future

    def await_(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Await a coroutine on the tools' own loop; cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())

    def stop(self) -> None:
        """Cancel what awaits and end the loop's thread; a later call starts a new one."""
        with self._starting:
            loop, thread = self._loop, self._loop_thread
            self._loop = self._loop_thread = None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(cancel_all(), loop).add_done_callback(
                lambda _: loop.call_soon_threadsafe(loop.stop)
            )
            thread.join(STOP_S)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop_thread = threading.Thread(
                    target=run_loop, args=(self._loop,), name=f"{self._name}-loop", daemon=True
                )
                self._loop_thread.start()
            return self._loop


def run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def cancel_all() -> None:
    """Cancel every other task of this loop and give them a moment to end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=STOP_S / 2)
