"""What belongs to the whole process: signals, open files, how threads and the collector take turns.

For the two programs alone. Who builds the app into a process of its own finds all of this as it was.
"""

import gc
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
SWITCH_INTERVAL_S = 0.0005  # a busy thread (a tool, the tray) lets the event loop on ten times sooner than by default
KEYRING_THREADS = ("keyring", "keyring-call", "keys-again")  # those that read keys, in `keys`
KEYRING_CALLS_END_S = 1.0
OPEN_FILES = 8_256  # for 4,096 connections, each with one to the upstream, and what the program holds beside them


def tune_process() -> None:
    """Let threads take turns quickly, and have as many open files as the system allows without asking."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        with suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wait_for_keyring_calls(limit_s: float = KEYRING_CALLS_END_S) -> None:
    """Wait a moment for threads that read keys from the keyring: the last thing before the process ends.

    Python ends a thread that still runs wherever it is. Inside the keyring's cryptography, which is written in Rust,
    this aborts the process (SIGABRT). One that waits for a keyring is in no such place, and may go on waiting.
    """
    ends = time.monotonic() + limit_s
    for thread in threading.enumerate():
        if thread.name in KEYRING_THREADS:
            thread.join(max(ends - time.monotonic(), 0))


def freeze_objects() -> None:
    """Keep the collector from walking through what stays for good: the SDK alone has a hundred thousand objects."""
    gc.freeze()


@contextmanager
def signals_noted() -> Iterator[Callable[[], object]]:
    """Yield a function that waits for a signal to stop; a second signal ends the program at once.

    The interpreter writes each signal to a socket, whichever thread it meets, and the main thread waits for that byte.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    woken_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        with signals_handled(lambda: None):
            yield lambda: reader.recv(1)
    finally:
        signal.set_wakeup_fd(woken_before)
        reader.close()
        writer.close()


@contextmanager
def signals_handled(stop: Callable[[], object]) -> Iterator[None]:
    """Call a function at the first signal to stop; a second one ends the program at once. Main thread only."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001  signal's signature
        noted.append(number)
        if len(noted) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop()

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
