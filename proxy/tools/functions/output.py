"""What the functions print: into the log at its finest, and the last lines kept for a process that ends at once."""

import logging
from collections import deque

from proxy.logs.redaction import escape, redact

KEPT_LINES = 4
LINE_LIMIT = 400  # characters
LINE_BYTES = 4 * LINE_LIMIT
LOGGED_LINES = 100  # of one chunk: a tool that floods its output does not fill the log

log = logging.getLogger(__name__)


class Output:
    """Take the output of one process, whatever it is."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        self._last: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        """Take note of what was written."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:LINE_BYTES]
        lines = [line[:LINE_BYTES] for line in whole[-LOGGED_LINES:] if line.strip()]
        self._last.extend(lines)
        if log.isEnabledFor(logging.DEBUG):
            for line in lines:
                log.debug("%s wrote: %s", self._file_name, shown(line))

    def told(self) -> str:
        """Return the last lines in one, "" where there are none."""
        lines = (shown(line) for line in (*self._last, self._rest))
        return " | ".join(line for line in lines if line)


def shown(line: bytes) -> str:
    """Return a line as it may be shown: short, without secrets and control characters."""
    return escape(redact(line.decode("utf-8", "replace").strip()))[:LINE_LIMIT]
