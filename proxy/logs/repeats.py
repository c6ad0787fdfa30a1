"""Suppress repeated log lines: the first few are written, then one line with their number."""

import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from proxy.logs.lines import MAX_WORD, cut

MAX_EQUAL = 10  # lines, within WINDOW_S
WINDOW_S = 10.0
MAX_KINDS = 256  # that are told apart at a time
SHOWN = 120  # characters of a line, in what is said of it

Place = tuple[str, str, int]


@dataclass
class Window:
    """The count of a line since it was first seen."""

    began: float
    name: str
    level: int
    text: str
    count: int = 0
    missing: int = 0


class Repeats:
    """Count equal warnings and errors. For any thread.

    Lines of requests differ and are not counted, and neither are lines below a warning. Tracebacks are counted by the
    place of the exception, whatever its text.
    """

    def __init__(self) -> None:
        self._windows: dict[object, Window] = {}
        self._lock = threading.Lock()

    def is_one_too_many(self, record: logging.LogRecord) -> bool:
        """Count a record, and return whether enough equal ones were written already."""
        if record.levelno < logging.WARNING and not record.exc_info:
            return False
        text = text_of(record)
        with self._lock:
            key = (record.name, record.levelno, len(text), hash(text))
            window = self._window(key, record, text[:MAX_WORD])
            window.count += 1
            window.missing += window.count > MAX_EQUAL
            return window.count > MAX_EQUAL

    def may_show_traceback(self, record: logging.LogRecord) -> bool:
        """Count a traceback by its place, and return whether it may be written."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return False
        with self._lock:
            window = self._window((type(error), innermost(error.__traceback__)), record, "")
            window.count += 1
            return window.count <= MAX_EQUAL

    def wait_s(self) -> float | None:
        """Return the seconds until the next summary may be due, None if none is pending."""
        with self._lock:
            ends = [window.began + WINDOW_S for window in self._windows.values() if window.count >= MAX_EQUAL]
        return max(min(ends) - time.monotonic(), 0.01) if ends else None

    def summaries(self, *, at_end: bool = False) -> list[logging.LogRecord]:
        """Return a summary for each suppressed line whose window is over, or of every window."""
        now = time.monotonic()
        with self._lock:
            over = {key: each for key, each in self._windows.items() if at_end or each.began + WINDOW_S <= now}
            for key in over:
                del self._windows[key]
        return [summary_of(window, now) for window in over.values() if window.missing]

    def _window(self, key: object, record: logging.LogRecord, text: str) -> Window:
        """Return the window of a line, a new one if the last is over; the oldest is dropped if there are too many.

        A window that is over and has suppressed lines goes on counting until `summaries` reports it.
        """
        window, now = self._windows.get(key), time.monotonic()
        if window is None or (now - window.began > WINDOW_S and not window.missing):
            self._windows.pop(key, None)
            if len(self._windows) >= MAX_KINDS:
                silent = (other for other, each in self._windows.items() if not each.missing)
                self._windows.pop(next(silent, next(iter(self._windows))))
            window = self._windows[key] = Window(now, record.name, record.levelno, text)
        return window


def text_of(record: logging.LogRecord) -> str:
    """Return a record's message, without its traceback."""
    try:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text} ({type(error).__name__}: {error})"
    except Exception:  # noqa: BLE001  what is written may be anybody's object
        return str(type(record.msg))


def innermost(trace: TracebackType | None) -> Place | None:
    """Return the place where an exception was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace else None
    return (code.co_filename, code.co_name, trace.tb_lineno) if trace and code else None


def summary_of(window: Window, now: float) -> logging.LogRecord:
    """Return the line that stands for the suppressed ones."""
    message = "%d more lines like this within %.0f s: %s"
    arguments = (window.missing, now - window.began, cut(window.text.partition("\n")[0], SHOWN))
    return logging.LogRecord(window.name, window.level, "", 0, message, arguments, None)
