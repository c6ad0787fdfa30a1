"""Format a line of the log: without keys, and so that no part of it can pass for another line."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from proxy.logs.redaction import escape, redact

MAX_WORD = 4_096  # characters; what is cut ends between two words, for half a key would not be known as one
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

Secrets = Callable[[], Iterable[str]]


class SafeFormatter(logging.Formatter):
    """Format a redacted record; its line breaks are marked, so that no line can pass for another record."""

    def __init__(self, form: str = FORMAT) -> None:
        super().__init__(form)
        self.secrets: Secrets = tuple
        self._second = (0, "")  # the last one that was written, and how: a busy log has many lines in each

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted text of a record with its traceback."""
        return self.hide(self.line(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  logging's name
        """Return the local time of a record, in milliseconds precision."""
        second, text = self._second
        if second != int(record.created):
            text = time.strftime(datefmt or self.default_time_format, time.localtime(record.created))
            self._second = (int(record.created), text)
        return f"{text},{int(record.msecs):03d}"

    def line(self, record: logging.LogRecord) -> str:
        """Return the text of a record with marked line breaks; keys are not removed yet."""
        return escape(super().format(record)).replace("\n", "\n    ")

    def hide(self, text: str) -> str:
        """Remove the keys from one or many lines."""
        return redact(text, self.secrets())


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text, cut between words, and the number of missing ones."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    head = head[: max(head.rfind(" "), head.rfind("\n"), limit - MAX_WORD, 0)]
    return f"{head} … ({len(text) - len(head)} more characters)"


class Record(logging.LogRecord):
    """A log record without the fields that our format does not show; computing them costs more than the rest."""

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
