"""The request to stop, for backends whose main thread only waits."""

import queue
import sys
from contextlib import suppress

# On Windows a waiting main thread does not hear Ctrl-C, so it wakes this often.
WINDOWS_WAIT_S = 0.25


class Stopping:
    """Carry the request to stop to the main thread."""

    def __init__(self) -> None:
        self.is_asked = False
        # An Event's lock may be held by the very thread a signal handler interrupts; this queue's put is reentrant.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ask(self) -> None:
        """Ask to stop; any thread and signal handlers, a second call does nothing."""
        self.is_asked = True
        self._wakes.put(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the request, at most so long; main thread only. Returns whether it was made."""
        if timeout_s is None and sys.platform == "win32":
            timeout_s = WINDOWS_WAIT_S
        with suppress(queue.Empty):
            if not self.is_asked:
                self._wakes.get(timeout=timeout_s)
        return self.is_asked
