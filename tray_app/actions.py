"""The one worker that runs every click, in order, so that no click ever holds up the tray."""

import logging
import queue
import threading
from collections.abc import Callable

Action = Callable[[], None]

log = logging.getLogger(__name__)


class Actions:
    """Run actions one after the other in the thread `tray-actions`."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="tray-actions", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def do(self, action: Action) -> None:
        """Hand an action over; any thread, never blocks."""
        self._queue.put(action)

    def stop(self, patience_s: float) -> None:
        """Finish what was handed over and end the thread, waiting for it no longer than this."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def _run(self) -> None:
        while (action := self._queue.get()) is not None:
            try:
                action()
            except Exception:  # noqa: PERF203  one failed click must not end the worker
                log.exception("a click failed")
