"""Start the log, say how much is in it, and read its last lines."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from proxy import paths
from proxy.files import make_private_dir
from proxy.logs.crashes import catch_crashes
from proxy.logs.lines import Record, SafeFormatter, Secrets
from proxy.logs.writer import LaterHandler, LogFile

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
