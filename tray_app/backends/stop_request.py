"""The request to stop, for backends whose main thread only waits."""

import queue
import sys
from contextlib import suppress

# On Windows a waiting main thread does not notice Ctrl-C, so it wakes up this often.
WINDOWS_WAIT_S = 0.25


class StopRequest:
    """Pass the request to stop to the main thread."""

    def __init__(self) -> None:
        self.is_made = False
        # An Event's lock may be held by the thread that a signal handler interrupts; this queue's put is reentrant.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def make(self) -> None:
        """Request the stop; any thread and signal handlers. A second call does nothing."""
        self.is_made = True
        self._wakes.put(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the request and return whether it was made; main thread only."""
        if timeout_s is None and sys.platform == "win32":
            timeout_s = WINDOWS_WAIT_S
        with suppress(queue.Empty):
            if not self.is_made:
                self._wakes.get(timeout=timeout_s)
        return self.is_made
