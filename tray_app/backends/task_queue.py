"""The tasks of an event loop: those posted by other threads, and those due at a time."""

import logging
import queue
import time
from collections.abc import Callable

Task = Callable[[], None]

log = logging.getLogger(__name__)


class TaskQueue:
    """Hold the tasks of one loop. They run on the loop's thread; other threads may only call `post`."""

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Task] = queue.SimpleQueue()  # its put may be called in a signal handler
        self._due_s: dict[Task, float] = {}

    def post(self, task: Task) -> None:
        """Run the task in the loop's next iteration; any thread. The caller has to wake the loop."""
        self._posted.put(task)

    def after(self, delay_s: float, task: Task) -> None:
        """Run the task later; loop thread only. A task that is already scheduled moves to the new time."""
        self._due_s[task] = time.monotonic() + delay_s

    def wait_s(self) -> float | None:
        """Return how long the loop may wait for input; None means without limit."""
        if not self._due_s:
            return None
        return max(0.0, min(self._due_s.values()) - time.monotonic())

    def run_due(self) -> None:
        """Run the posted and the due tasks; loop thread only. A task that fails is logged, and the others run."""
        for _ in range(self._posted.qsize()):
            run_guarded(self._posted.get())
        now = time.monotonic()
        for task in [task for task, due in self._due_s.items() if due <= now]:
            del self._due_s[task]
            run_guarded(task)


def run_guarded(task: Task) -> None:
    """Run a task and log its failure: one bad message or click must not remove the icon."""
    try:
        task()
    except LoopEnded:
        raise
    except Exception:
        log.exception("a task of the tray failed")


class LoopEnded(Exception):
    """The loop cannot go on; `run_guarded` lets this through."""
