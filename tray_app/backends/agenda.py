"""What a loop has to do besides its input: what other threads posted, and what falls due."""

import logging
import queue
import time
from collections.abc import Callable

Task = Callable[[], None]

log = logging.getLogger(__name__)


class Agenda:
    """Keep the tasks of one loop; they run on the loop's thread, and `post` is the door for other threads."""

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Task] = queue.SimpleQueue()  # its put may be called in a signal handler
        self._due_s: dict[Task, float] = {}

    def post(self, task: Task) -> None:
        """Have the task run at the loop's next turn; any thread. Waking the loop is the caller's part."""
        self._posted.put(task)

    def after(self, delay_s: float, task: Task) -> None:
        """Have the task run later; loop thread only. Naming the same task again moves it."""
        self._due_s[task] = time.monotonic() + delay_s

    def wait_s(self) -> float | None:
        """How long the loop may wait for its input; None is for ever."""
        if not self._due_s:
            return None
        return max(0.0, min(self._due_s.values()) - time.monotonic())

    def run_due(self) -> None:
        """Run what was posted and what is due; loop thread only. A task that fails is logged, and the rest runs."""
        for _ in range(self._posted.qsize()):
            run_guarded(self._posted.get())
        now = time.monotonic()
        for task in [task for task, due in self._due_s.items() if due <= now]:
            del self._due_s[task]
            run_guarded(task)


def run_guarded(task: Task) -> None:
    """Run a task and log its failure: one bad message or click must not take the icon away."""
    try:
        task()
    except LoopEnded:
        raise
    except Exception:
        log.exception("the tray could not do what it was asked")


class LoopEnded(Exception):
    """Pass through `run_guarded`: the loop itself cannot go on."""
