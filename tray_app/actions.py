"""Run clicks on one worker thread, in order, so that no click blocks the tray."""

import logging
import queue
import threading
from collections.abc import Callable

Action = Callable[[], None]

log = logging.getLogger(__name__)


class Actions:
    """Run actions one after the other on the thread `tray-actions`."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tray-actions", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def do(self, action: Action) -> None:
        """Queue an action; any thread, never blocks."""
        self._queue.put(action)

    def stop(self, timeout_s: float) -> None:
        """Run what is queued and end the thread; wait for it at most `timeout_s`."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (action := self._queue.get()) is not None:
            try:
                action()
            except Exception:  # noqa: PERF203  one failed click must not end the worker
                log.exception("a click failed")
