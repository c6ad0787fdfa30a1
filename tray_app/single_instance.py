"""Allow one tray per user: a lock says that it runs, a file says how to reach it."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from proxy.files import locked, make_private_dir
from proxy.running import InstanceInfo, ask, publish, read

RETRY_S = 0.1
END_TIMEOUT_S = 5.0  # the program itself takes less, unless it hangs


class SingleInstance:
    """Hold the lock of the user; for one thread. The system releases it however the process ends."""

    def __init__(self, runtime_dir: Path) -> None:
        self._folder = runtime_dir
        self._info_file = runtime_dir / "instance.json"
        self._lock: int | None = None

    def __enter__(self) -> "SingleInstance":
        """Try to take the lock; `is_first` says whether it was free."""
        self.acquire()
        return self

    def __exit__(self, *details: object) -> None:
        self.release()

    @property
    def is_first(self) -> bool:
        """Whether this instance holds the lock."""
        return self._lock is not None

    def acquire(self) -> bool:
        """Try to take the lock and return whether it is ours; raises OSError if the folder cannot be written."""
        if self._lock is None:
            make_private_dir(self._folder)
            self._lock = locked(self._folder / "instance.lock")
            if self._lock is not None:
                self._info_file.unlink(missing_ok=True)  # left by an instance that was killed
        return self.is_first

    def publish(self, pid: int, url: str, token: str) -> None:
        """Write how later starts reach this instance; raises OSError, and RuntimeError without the lock."""
        if not self.is_first:
            raise RuntimeError("only the instance that holds the lock may publish itself")
        publish(self._info_file, InstanceInfo(pid, url, token))

    def running_instance(self) -> InstanceInfo | None:
        """Return how to reach the running instance; None until it has published itself."""
        return read(self._info_file)

    def activate(self, timeout_s: float) -> str | None:
        """Make the running instance open its page and return a link to it; None if it does not answer in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            info = self.running_instance()
            link = ask(info, "activate") if info is not None else None
            if link is not None or time.monotonic() >= deadline:
                return link
            time.sleep(RETRY_S)

    def replace(self) -> bool:
        """End the running instance and take its place; return whether that worked. It may take ten seconds.

        What it has published is its own: whoever takes the lock removes what others left. One that hangs is killed.
        """
        info = self.running_instance()
        for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if info is not None and not self.acquire():
                with suppress(OSError):  # it has ended meanwhile
                    os.kill(info.pid, number)
            deadline = time.monotonic() + END_TIMEOUT_S
            while not self.acquire() and time.monotonic() < deadline:
                time.sleep(RETRY_S)
        return self.is_first

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._lock is not None:
            self._info_file.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
