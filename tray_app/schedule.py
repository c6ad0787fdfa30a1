"""Call functions later, on one thread that sleeps while nothing is due."""

import logging
import threading
import time
from collections.abc import Callable

Task = Callable[[], None]

STOP_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class Schedule:
    """Run each task once, at its time, on the thread `tray-schedule`. The methods may be called on any thread.

    A task must return soon: the next one waits for it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[Task, float] = {}
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="tray-schedule", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def after(self, delay_s: float, task: Task) -> None:
        """Run a task after a delay. A task that is already scheduled moves to the new time."""
        with self._changed:
            self._due[task] = self._clock() + delay_s
            self._changed.notify()

    def cancel(self, task: Task) -> None:
        """Drop a task; one that is not scheduled is no error."""
        with self._changed:
            self._due.pop(task, None)

    def stop(self) -> None:
        """Drop all tasks and end the thread."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    def run_due(self) -> None:
        """Run the tasks that are due now; a task that fails is logged."""
        with self._changed:
            now = self._clock()
            tasks = [task for task, due in self._due.items() if due <= now]
            for task in tasks:
                del self._due[task]
        for task in tasks:
            try:
                task()
            except Exception:  # noqa: PERF203  one task that fails must not end the others
                log.exception("a scheduled task failed")

    def _run(self) -> None:
        while self._wait():
            self.run_due()

    def _wait(self) -> bool:
        """Wait until a task is due, or return False once stopped."""
        with self._changed:
            while not self._is_stopped:
                wait_s = min(self._due.values()) - self._clock() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return True
                self._changed.wait(wait_s)
        return False
