"""The request to stop, for backends whose main thread only waits."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# On Windows a waiting main thread does not notice Ctrl-C, so it wakes up this often.
WINDOWS_WAIT_S = 0.25


class StopRequest:
    """Pass the request to stop to the main thread.

    What the main thread waits for is a byte, which the interpreter writes for each signal: one that comes just before
    the wait, or that another thread meets, interrupts nothing, and its handler runs only once the main thread goes on.
    """

    def __init__(self) -> None:
        self.is_made = False
        self._wakes: socket.socket | None = None  # while somebody waits

    def make(self) -> None:
        """Request the stop; any thread and signal handlers. A second call does nothing."""
        self.is_made = True
        wakes = self._wakes
        if wakes is not None:
            with suppress(OSError):  # it is full, or the wait is over
                wakes.send(b"\0")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the request or a signal, and return whether it was made; main thread only."""
        if timeout_s is None and sys.platform == "win32":
            timeout_s = WINDOWS_WAIT_S
        reader, self._wakes = socket.socketpair()
        with reader, self._wakes, woken_by_signals(self._wakes), suppress(TimeoutError, socket.timeout):
            reader.settimeout(timeout_s)
            if not self.is_made:
                reader.recv(64)
        self._wakes = None
        return self.is_made


@contextmanager
def woken_by_signals(wakes: socket.socket) -> Iterator[None]:
    """Have a byte written for each signal; the interpreter allows that to the main thread alone."""
    wakes.setblocking(False)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
