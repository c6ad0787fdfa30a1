"""Keep requests on the disk that are over, with all that was said: off unless the settings say for how many days.

One private file a request, compressed, without keys. One thread writes and deletes; no request waits for it.
"""

import gzip
import json
import logging
import queue
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.capture.capture import Capture
from proxy.capture.hiding import Hide, hidden_json
from proxy.capture.record import Record
from proxy.files import write_private

ENDING = ".json.gz"
NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
DAY_S = 86_400.0
LOOK_EVERY_S = 3_600.0  # for what has become too old
MAX_WAITING = 200  # requests that wait to be written; what comes on top is not kept
STOP_TIMEOUT_S = 5.0
LEVEL = 3  # of compression: fast

Order = tuple[Record | None, int]  # what is to be kept, and how often all had been deleted when it ended
LOOK: Order = (None, 0)  # only look what is to be deleted
END: Order = (None, -1)  # end the thread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """For how many days requests are kept (0: they are not), and how many bytes they take at most."""

    days: int
    max_bytes: int


class Kept:
    """The requests on the disk. Any thread."""

    def __init__(
        self, folder: Path, room: Callable[[], Room], details: Callable[[Record], dict[str, Any]], hide: Hide
    ) -> None:
        self.folder = folder
        self._room = room
        self._details = details  # all there is to tell of a request
        self._hide = hide
        self._waiting: queue.Queue[Order] = queue.Queue(MAX_WAITING)
        self._deletions = 0  # how often all were deleted: what was to be kept before that is kept no more
        self._lock = threading.Lock()  # over the writer's beginning and end
        self._files = threading.Lock()  # held by whoever writes or deletes
        self._writer: threading.Thread | None = None
        self._has_spoken = False
        self._capture: Capture | None = None  # from which the requests come
        self.files = 0  # as far as is known: counted by the writer
        self.size_bytes = 0

    @property
    def room(self) -> Room:
        """Return what the settings say now."""
        return self._room()

    def keep(self, record: Record) -> None:
        """Keep a request that is over, if the settings say so; returns at once."""
        if not self._room().days:
            return
        with suppress(queue.Full):
            self._waiting.put_nowait((record, self._deletions))
        if self._writer is None:
            self.begin()

    def follow(self, capture: Capture) -> None:
        """Keep what a capture holds, as long as the settings say so; elsewhere it does not even ask."""
        self._capture = capture
        self.settings_changed()

    def begin(self) -> None:
        """Begin to write, and to delete what is too old or too much; nothing where there is nothing to do for it."""
        if not (self._room().days or self.folder.exists()):
            return
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="capture-writer", daemon=True)
                self._writer.start()

    def settings_changed(self) -> None:
        """Take over what the settings say now: what they no longer allow is deleted soon, where a writer runs."""
        if self._capture is not None:
            self._capture.keep = self.keep if self._room().days else None
        if self._writer is not None:
            with suppress(queue.Full):
                self._waiting.put_nowait(LOOK)

    def stop(self) -> None:
        """Write what waits and end the thread; blocks for some seconds at most."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(queue.Full):
                self._waiting.put(END, timeout=STOP_TIMEOUT_S)
            writer.join(STOP_TIMEOUT_S)

    def find(self, request_id: str) -> dict[str, Any] | None:
        """Return what was kept of a request, None where nothing is."""
        if NAME.fullmatch(request_id) is None:
            return None
        try:
            value = json.loads(gzip.decompress((self.folder / f"{request_id}{ENDING}").read_bytes()))
        except (OSError, EOFError, ValueError, RecursionError, zlib.error):
            return None
        return value if isinstance(value, dict) else None

    def ids(self) -> frozenset[str]:
        """Return the ids of the requests that are kept."""
        return frozenset(file.name.removesuffix(ENDING) for file in self._all())

    def delete_all(self) -> int:
        """Delete every one, and those that wait to be written; return how many there were. Raises OSError."""
        with self._files:
            self._deletions += 1
            self.files = self.size_bytes = 0
            files = self._all()
            for file in files:
                with suppress(OSError):  # the others go all the same
                    self._delete(file)
            for file in self._all():
                self._delete(file)  # says why it cannot
            with suppress(OSError):
                self.folder.rmdir()
        return len(files)

    def _run(self) -> None:
        self._tidy()
        while True:
            try:
                order = self._waiting.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                self._tidy()
                continue
            if order is END:
                return
            record, deletions = order
            try:
                if record is not None:
                    self._write(record, deletions)
                if record is None or self.size_bytes > self._room().max_bytes:
                    self._tidy()
            except OSError as error:
                self._say(error)
            except Exception:  # a thread's body: this request is not kept, the next are
                log.exception("a request could not be kept")

    def _write(self, record: Record, deletions: int) -> None:
        if not (record.is_captured and self._room().days) or NAME.fullmatch(record.flow.id) is None:
            return
        if deletions != self._deletions:
            return
        text = hidden_json(self._details(record), self._hide).encode("utf-8", "replace")
        packed = gzip.compress(text, LEVEL)
        with self._files:
            if deletions != self._deletions:  # the user has deleted all meanwhile, this one too
                return
            write_private(self.folder / f"{record.flow.id}{ENDING}", packed)
            self.files += 1
            self.size_bytes += len(packed)

    def _tidy(self) -> None:
        """Delete what is too old, and the oldest of what is too much."""
        room, now = self._room(), time.time()
        with self._files:
            found = sorted(self._sizes(), reverse=True)  # the newest first
            self.files = self.size_bytes = 0
            for written_at, size_bytes, file in found:
                is_too_old = now - written_at > room.days * DAY_S or not room.days
                if is_too_old or self.size_bytes + size_bytes > room.max_bytes:
                    try:
                        self._delete(file)
                    except OSError as error:
                        self._say(error)
                else:
                    self.files += 1
                    self.size_bytes += size_bytes
            if not room.days:
                with suppress(OSError):
                    self.folder.rmdir()

    def _sizes(self) -> Iterator[tuple[float, int, Path]]:
        for file in self._all():
            with suppress(OSError):
                status = file.stat()
                yield status.st_mtime, status.st_size, file

    def _all(self) -> list[Path]:
        try:
            return [file for file in self.folder.iterdir() if file.name.endswith(ENDING)]
        except OSError:
            return []

    @staticmethod
    def _delete(file: Path) -> None:
        file.unlink(missing_ok=True)

    def _say(self, error: OSError) -> None:
        if not self._has_spoken:
            self._has_spoken = True
            log.warning("Requests cannot be kept in %s: %s. They go on; this is said once.", self.folder, error)
