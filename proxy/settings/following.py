"""Follow the settings file: an edit by hand is applied within two seconds."""

import logging
import threading
import time
from pathlib import Path

from proxy.settings.file_text import FileState
from proxy.settings.store import SettingsStore

LOOK_EVERY_S = 1.0
SETTLED_S = 0.25  # an editor may empty a file, or take it away, before it writes it
SETTLING_LOOKS = 8  # what has not settled by then is looked at again later
YOUNG_S = 3.0  # two edits of one moment can leave the same times behind: a file of this age is read once more
STOP_LIMIT_S = 2.0

Fingerprint = tuple[int | bool, ...]

log = logging.getLogger(__name__)


class SettingsFollower:
    """Poll the settings file on the thread `settings-follower`. The methods may be called on any thread."""

    def __init__(self, store: SettingsStore, look_every_s: float = LOOK_EVERY_S, settled_s: float = SETTLED_S) -> None:
        self._store = store
        self._look_every_s = look_every_s
        self._settled_s = settled_s
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._seen: Fingerprint | None = None  # of the file when its content was last judged

    def start(self) -> None:
        """Apply what has changed since the settings were loaded, and start polling; a second call does nothing.

        It returns at once where nothing has changed.
        """
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._ended.clear()
                if FileState.of(self._store.path) != FileState(self._store.in_force.content):
                    self._take_up()
                self._thread = threading.Thread(target=self._run, name="settings-follower", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop polling; a second call does nothing."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._ended.set()
        if thread is not None:
            thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        while not self._ended.wait(self._look_every_s):
            try:
                self._look()
            except Exception:  # noqa: PERF203  one failed look must not end the thread
                log.exception("a change of the settings file was not put in force")

    def _look(self) -> None:
        """Apply a changed file once it has settled."""
        fingerprint = fingerprint_of(self._store.path)
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        if not self._take_up():
            self._seen = None

    def _take_up(self) -> bool:
        """Have the store apply the file's content; return False if the file must be read again at the next poll."""
        state = self._settled_state()
        return state is not None and self._store.reload(state) and state.problem is None

    def _settled_state(self) -> FileState | None:
        """Return the file's state if two polls in a row saw the same; None while it has not settled."""
        before = FileState.of(self._store.path)
        for _ in range(SETTLING_LOOKS):
            if self._ended.wait(self._settled_s):
                break
            now = FileState.of(self._store.path)
            if now == before:
                return now
            before = now
        return None


def fingerprint_of(path: Path) -> Fingerprint:
    """Return a value that changes with the file's content, for the cost of one `stat`."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    is_young = abs(time.time() - status.st_mtime) < YOUNG_S
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev, is_young
