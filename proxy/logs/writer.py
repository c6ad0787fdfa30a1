"""Write the log: a moment later and in a thread of its own, to one file that is turned over at 5 MB."""

import logging
import logging.handlers
import threading
from collections import deque
from contextlib import suppress
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path

from proxy.logs.lines import SafeFormatter

FILE_BYTES = 5 * 1024 * 1024
OLDER_FILES = 4
RECENT_LINES = 500
WRITE_EVERY_S = 0.2


class LaterHandler(logging.Handler):
    """Collect records and write them a moment later, in a thread: a disk must never hold up the event loop.

    `logging.shutdown`, which Python calls at its exit, writes the rest.
    """

    def __init__(self, file: "LogFile | None", safe: SafeFormatter) -> None:
        super().__init__()
        self._recent: deque[str] = deque(maxlen=RECENT_LINES)  # what can be shown where the file cannot be written
        self._file = file
        self._safe = safe
        self._records: list[logging.LogRecord] = []
        self._writing = threading.Lock()
        self._due = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record for the writer."""
        self._records.append(record)
        if not self._due.is_set():
            self._due.set()

    def flush(self) -> None:
        """Write what was kept, now."""
        with self._writing:
            records, self._records = self._records, []
            if records:
                lines = self._safe.hide("".join(f"{self._line(record)}\n" for record in records))
                self._recent.extend(lines.splitlines())
                if self._file is not None:
                    self._file.write(lines)

    def recent(self) -> list[str]:
        """Return the last lines, the latest last."""
        self.flush()
        with self._writing:
            return list(self._recent)

    def _line(self, record: logging.LogRecord) -> str:
        """Return a record's line, even of one whose arguments do not fit its message."""
        try:
            return self._safe.line(record)
        except Exception:  # noqa: BLE001  one bad line must not cost the others
            message = repr(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
            return f"a record of {record.name} that cannot be written: {message}"

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._closing.set()
        self._due.set()
        self._thread.join(1)
        self.flush()
        if self._file is not None:
            self._file.close()
        super().close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._due.wait()
            self._closing.wait(WRITE_EVERY_S)
            self._due.clear()
            self.flush()


class LogFile(logging.handlers.RotatingFileHandler):
    """A log file that only its owner can read, turned over when it is full; takes many lines at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8", errors="backslashreplace"
        )

    def write(self, lines: str) -> None:
        """Write whole lines; a full disk loses them and stops nothing."""
        with suppress(OSError):
            if self.stream and self.stream.tell() + len(lines) > self.maxBytes:
                with suppress(OSError):  # where it cannot be turned over it is written on
                    self.doRollover()
            self.stream = self.stream or self._open()
            if self.stream:
                self.stream.write(lines)
                self.stream.flush()

    def doRollover(self) -> None:  # noqa: N802  logging's name
        """Turn the file over; raises OSError, and where it cannot be moved at all, no older one has been either.

        Windows does not move a file that another process has open.
        """
        if self.stream:
            self.stream.close()
            self.stream = None
        older = [Path(f"{self.baseFilename}.{number}") for number in range(self.backupCount + 1)]
        Path(self.baseFilename).replace(older[0])
        for source, target in reversed(list(pairwise(older))):
            with suppress(FileNotFoundError):
                source.replace(target)

    def close(self) -> None:
        """Close the file, even where its last lines find no room."""
        with suppress(OSError):
            super().close()

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return stream
