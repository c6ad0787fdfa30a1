"""The log: one file, turned over at 5 MB, without keys and without forged lines."""

import logging
import logging.handlers
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.crashes import catch_crashes
from proxy.files import make_private_dir
from proxy.redaction import escape, redact

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
FILE_BYTES = 5 * 1024 * 1024
OLDER_FILES = 4
RECENT_LINES = 500
WRITE_EVERY_S = 0.2
# Libraries whose debug logs print headers or bodies.
QUIET = (
    "aiohttp",
    "asyncio",
    "flask_cors",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "mcp",
    "openai",
    "websockets",
    "werkzeug",
)
SILENT = ("uvicorn",)  # what it calls errors (a client that left, a stream cut at the end) the exchange has told

Secrets = Callable[[], Iterable[str]]


class SafeFormatter(logging.Formatter):
    """Format a record, redacted, its own line breaks marked so that no line can pass for another record."""

    def __init__(self, form: str = FORMAT) -> None:
        super().__init__(form)
        self.secrets: Secrets = tuple
        self._second = (0, "")  # the last one that was written, and how: a busy log has many lines in each

    def format(self, record: logging.LogRecord) -> str:
        """Return the safe text of a record, its traceback included."""
        return self.hide(self.line(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  logging's name
        """Return the local time of a record, to the millisecond."""
        second, text = self._second
        if second != int(record.created):
            text = time.strftime(datefmt or self.default_time_format, time.localtime(record.created))
            self._second = (int(record.created), text)
        return f"{text},{int(record.msecs):03d}"

    def line(self, record: logging.LogRecord) -> str:
        """Return the text of a record that cannot pass for two; keys are still in it."""
        return escape(super().format(record)).replace("\n", "\n    ")

    def hide(self, text: str) -> str:
        """Take the keys out of one line, or of many at once."""
        return redact(text, self.secrets())


class Record(logging.LogRecord):
    """A record without what our format does not show: to work that out takes longer than to keep the record."""

    def __init__(  # its base's is left out, on purpose
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        sinfo: str | None = None,
        **_: object,
    ) -> None:
        self.name, self.levelno, self.levelname = name, level, logging.getLevelName(level)
        is_named = bool(args) and len(args) == 1 and isinstance(args[0], Mapping) and bool(args[0])
        self.msg, self.args = msg, args[0] if is_named else args  # as logging has it: "%(name)s", {"name": …}
        self.exc_info, self.exc_text, self.stack_info = exc_info, None, sinfo
        self.pathname, self.filename, self.module, self.lineno, self.funcName = pathname, "", "", lineno, func or ""
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.relativeCreated = 0.0
        self.thread = self.threadName = self.process = self.processName = self.taskName = None


@dataclass(frozen=True)
class Log:
    """The running log."""

    file: Path | None  # None where it cannot be written
    formatter: SafeFormatter

    def hide(self, secrets: Secrets) -> None:
        """Keep these keys out of every line from now on; the function is asked for each line."""
        self.formatter.secrets = secrets


def start_logging(*, to_terminal: bool = False) -> Log:
    """Send the log to its file, and to the terminal if asked."""
    # What our format does not show need not be looked up at every record (logging's documented optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    logging.setLogRecordFactory(Record)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    formatter = SafeFormatter()
    catch_crashes(formatter.format)
    if to_terminal and sys.stderr is not None:
        add_handler(root, logging.StreamHandler(), formatter)
    file = paths.log_file()
    try:
        make_private_dir(file.parent)
        log_file = LogFile(file)
    except OSError as error:
        if not to_terminal:  # or Python would write warnings there itself, keys and all
            add_handler(root, logging.StreamHandler() if sys.stderr is not None else logging.NullHandler(), formatter)
            root.handlers[-1].setLevel(logging.WARNING)
        root.addHandler(LaterHandler(None, formatter))
        root.warning("the log file %s cannot be written: %s", file, error)
        return Log(None, formatter)
    root.addHandler(LaterHandler(log_file, formatter))
    return Log(file, formatter)


def recent_lines() -> list[str]:
    """Return the last lines of the running log, from memory; [] where none is running."""
    running = [handler for handler in logging.getLogger().handlers if isinstance(handler, LaterHandler)]
    return running[-1].recent() if running else []


def set_level(level: str) -> None:
    """Say how much is logged from now on."""
    logging.getLogger().setLevel(level)


def add_handler(logger: logging.Logger, handler: logging.Handler, formatter: logging.Formatter) -> None:
    """Give a logger a handler with the safe format."""
    handler.setFormatter(formatter)
    logger.addHandler(handler)


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
