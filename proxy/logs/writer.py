"""Write the log on the thread of a queue listener, in batches, to a file that rotates at 5 MB."""

import copy
import logging
import logging.handlers
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from queue import Empty, SimpleQueue

from proxy.logs.lines import SafeFormatter, cut
from proxy.logs.repeats import Repeats

FILE_BYTES = 5 * 1024 * 1024
OLDER_FILES = 4
RECENT_LINES = 500
WRITE_INTERVAL_S = 0.2
FLUSH_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 5.0
MAX_WAITING = 50_000  # records; more wait only where a disk or a terminal hangs
MAX_WAITING_CHARACTERS = 16_000_000  # in their texts
MAX_LINE = 32_768  # characters of one record
PIECE = 65_536  # characters that are written at once: to take the keys out of them holds up all threads

Entry = logging.LogRecord | threading.Event  # an event is set once all before it is written


class LogQueue(logging.handlers.QueueHandler):
    """Queue records for a listener's thread, so that no disk and no terminal blocks the event loop.

    `logging.shutdown`, which Python calls at its exit, closes the handler, and that writes the rest.
    """

    queue: "SimpleQueue[Entry | None]"  # None ends the listener

    def __init__(self, formatter: SafeFormatter, *targets: logging.Handler) -> None:
        super().__init__(SimpleQueue())
        self.targets = targets
        self._lost = 0
        self._formatter = formatter
        self._repeats = Repeats()
        self._writer = BatchListener(self.queue, formatter, self._repeats, *targets)
        self._writer.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return the record as it is: the listener formats it, up to WRITE_INTERVAL_S later, in this same process.

        The base class formats here, on the caller's thread, for queues that pickle. Without that the arguments must not
        change after the call: those of our own calls are strings, numbers, exceptions and flows that are over.
        A traceback alone is written out here, for it holds all that its functions had in their hands.
        """
        if not record.exc_info:
            return record
        record = copy.copy(record)
        if record.exc_info and self._repeats.may_show_traceback(record):
            record.exc_text = cut(self._formatter.formatException(record.exc_info), MAX_LINE)
        elif record.exc_info:
            record.exc_text = "(its traceback was written a moment before)"
        record.exc_info = None
        return record

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue a record; of many equal ones only the first few."""
        return False if self._repeats.is_one_too_many(record) else bool(super().handle(record))

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record, or only count it if too many wait; called under the handler's lock."""
        if self.queue.qsize() >= MAX_WAITING or self._writer.characters > MAX_WAITING_CHARACTERS:
            self._lost += 1
            return
        if self._lost:
            missing = "lines missing here: %d (the log could not be written in time)"
            self.queue.put(logging.LogRecord(__name__, logging.WARNING, "", 0, missing, (self._lost,), None))
            self._lost = 0
        self._writer.characters += weight(record)
        self.queue.put(record)

    def flush(self) -> None:
        """Wait until all records so far are written, FLUSH_TIMEOUT_S at most."""
        self._writer.flush()

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._writer.stop()
        for target in self.targets:
            target.close()
        self.targets = ()
        super().close()


class BatchListener(logging.handlers.QueueListener):
    """Pass all queued records to the targets as one, a few times a second.

    The base class wakes for each record, and each target formats it: at one line a request, that halves the requests
    per second. Here the lines are formatted once, and the keys are taken out of all of them in one go.
    """

    queue: "SimpleQueue[Entry | None]"

    def __init__(
        self,
        queue: "SimpleQueue[Entry | None]",
        formatter: SafeFormatter,
        repeats: Repeats,
        *targets: logging.Handler,
    ) -> None:
        super().__init__(queue, *targets)
        self._formatter = formatter
        self._repeats = repeats
        self._at_once = threading.Event()
        self.characters = 0  # put since the queue was last empty, about

    def start(self) -> None:
        """Start the thread, with a name."""
        super().start()
        if self._thread is not None:  # the base class's, which has no public way to it
            self._thread.name = "log-writer"

    def handle(self, record: Entry) -> None:
        """Wait for more entries, then write them all; an event among them is set once that is done."""
        self._at_once.wait(WRITE_INTERVAL_S)
        self._at_once.clear()
        entries = [record, *self._waiting()]
        self.characters = 0
        self._write([entry for entry in entries if isinstance(entry, logging.LogRecord)])
        self._write(self._repeats.summaries())
        for entry in entries:
            if isinstance(entry, threading.Event):
                entry.set()

    def flush(self) -> None:
        """Return once all entries so far are written, at the latest after FLUSH_TIMEOUT_S."""
        if self._thread is not None and self._thread.is_alive():
            written = threading.Event()
            self.queue.put(written)
            self._at_once.set()
            written.wait(FLUSH_TIMEOUT_S)

    def stop(self) -> None:
        """Write the rest and end the thread; give up after STOP_TIMEOUT_S. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self.enqueue_sentinel()
            self._at_once.set()
            thread.join(STOP_TIMEOUT_S)
            if not thread.is_alive():
                self._write(self._repeats.summaries(at_end=True))

    def dequeue(self, block: bool) -> "Entry | None":  # type: ignore[override]  # an event waits for all before it
        """Return the next entry; if none comes in time, the summaries of suppressed lines."""
        while True:
            with suppress(Empty):
                return self.queue.get(block, self._repeats.wait_s())
            self._write(self._repeats.summaries())

    def _write(self, records: list[logging.LogRecord]) -> None:
        """Hand records to the targets as text, some at a time."""
        for text in pieces(self._line(record) for record in records):
            batch = logging.LogRecord(__name__, logging.INFO, "", 0, self._hide(text), None, None)
            for target in self.handlers:
                target.handle(batch)

    def _waiting(self) -> list[Entry]:
        entries = []
        with suppress(Empty):
            while (entry := self.queue.get_nowait()) is not None:
                entries.append(entry)
            self.enqueue_sentinel()  # it ends the thread after this batch
        return entries

    def _hide(self, text: str) -> str:
        try:
            return self._formatter.hide(text)
        except Exception as error:  # noqa: BLE001  the thread must live on, and no line may be written as it is
            count = text.count("\n") + 1
            return f"lines missing here: {count} (keys cannot be taken out of them: {type(error).__name__})"

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return cut(self._formatter.line(record), MAX_LINE)
        except Exception:  # noqa: BLE001  one bad record must not cost the others
            message = repr(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
            return f"a record of {record.name} that cannot be written: {message}"


def pieces(lines: Iterator[str]) -> Iterator[str]:
    """Yield joined lines in pieces of limited size."""
    waiting: list[str] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size > PIECE:
            yield "\n".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "\n".join(waiting)


def weight(record: logging.LogRecord) -> int:
    """Return roughly the number of characters in a record; arguments that are no texts count little."""
    texts = (record.msg, record.exc_text, *(record.args if isinstance(record.args, tuple) else ()))
    return sum(len(text) for text in texts if isinstance(text, str))


class RecentLines(logging.Handler):
    """Keep the last lines in memory, for the page that shows the log."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=RECENT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the lines of a batch."""
        self._lines.extend(self.format(record).splitlines())

    def lines(self) -> list[str]:
        """Return the last lines, the latest last."""
        return list(self._lines)


class LogFile(logging.handlers.RotatingFileHandler):
    """A log file that only its owner can read; a full disk loses lines and stops nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8", errors="backslashreplace"
        )
        self.problem: BaseException | None = None  # why the last lines are not in the file

    def emit(self, record: logging.LogRecord) -> None:
        """Write a batch of lines, after a rotation where it would make the file too large."""
        self.problem = None
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  logging's name and signature
        """Keep the reason of the failure; the base class would print it."""
        self.problem = sys.exc_info()[1]

    def doRollover(self) -> None:  # noqa: N802  logging's name
        """Rotate the file; where that fails, the next lines go on in the same file or in a new one.

        The current file is moved before the older ones: Windows does not move a file that another process has open,
        and an older one would be lost with each try.
        """
        stream, self.stream = self.stream, None
        with suppress(OSError):
            if stream:
                stream.close()
            Path(self.baseFilename).replace(f"{self.baseFilename}.0")
            super().doRollover()

    def rotate(self, source: str, dest: str) -> None:
        """Rename the older files, after `doRollover` has moved the current one aside."""
        Path(f"{source}.0").replace(dest)

    def close(self) -> None:
        """Close the file, even if its last lines cannot be written."""
        with suppress(OSError):
            super().close()

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return stream
