"""Start the log, set its level, and read its last lines."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from proxy import paths
from proxy.files import make_private_dir
from proxy.logs.crashes import catch_crashes
from proxy.logs.lines import Record, SafeFormatter, Secrets
from proxy.logs.writer import LogFile, LogQueue, RecentLines

# Libraries whose debug logs print headers or bodies.
QUIET = (
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
SERVERS = ("gunicorn", "hypercorn", "uvicorn")  # where one of them is the program, it writes its own lines
TOLD = ("mcp.client", "mcp.shared")  # a traceback for each odd line of a server; what matters of it is told by us


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
    logging._srcfile = None  # noqa: SLF001  as logging's documentation says
    logging.setLogRecordFactory(Record)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in TOLD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    formatter = SafeFormatter()
    catch_crashes(formatter.format)
    if to_terminal and sys.stderr is not None:
        root.addHandler(LogQueue(formatter, logging.StreamHandler()))
    file = paths.log_file()
    try:
        make_private_dir(file.parent)
        log_file = LogFile(file)
    except OSError as error:
        if not to_terminal and sys.stderr is not None:
            root.addHandler(LogQueue(formatter, logging.StreamHandler()))
            root.handlers[-1].setLevel(logging.WARNING)
        root.addHandler(LogQueue(formatter, RecentLines()))
        root.warning("the log file %s cannot be written: %s", file, error)
        return Log(None, formatter)
    root.addHandler(LogQueue(formatter, log_file, RecentLines()))
    return Log(file, formatter)


def log_to_stderr() -> Log | None:
    """Write the log to the standard error of a foreign server; return None if its operator has configured logging.

    There is no file, because several processes would rotate it at the same time.
    """
    root = logging.getLogger()
    if root.handlers or sys.stderr is None:
        return None
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in TOLD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    formatter = SafeFormatter()
    handler = LogQueue(formatter, logging.StreamHandler())
    handler.addFilter(lambda record: not record.name.startswith(SERVERS))
    root.addHandler(handler)
    return Log(None, formatter)


def recent_lines() -> list[str]:
    """Return the last lines of the running log from memory, and why its file lacks some; [] if no log is running."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogQueue)]
    running = [(handler, part) for handler in handlers for part in handler.targets if isinstance(part, RecentLines)]
    if not running:
        return []
    handler, recent = running[-1]
    handler.flush()
    files = [target for target in handler.targets if isinstance(target, LogFile)]
    return [*recent.lines(), *(f"the log file cannot be written: {file.problem}" for file in files if file.problem)]


def set_level(level: str) -> None:
    """Set the level of the log from now on."""
    logging.getLogger().setLevel(level)
