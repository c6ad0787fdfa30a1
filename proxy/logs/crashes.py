"""Report uncaught exceptions without keys, in the log and on the standard error."""

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from proxy.logs.writer import LogQueue

log = logging.getLogger(__name__)

Trace = tuple[type[BaseException], BaseException, TracebackType | None]
Tell = Callable[[logging.LogRecord], str]


def catch_crashes(safe: Tell) -> None:
    """Report uncaught exceptions of every thread and of `__del__` through `safe`, which formats a record without keys.

    asyncio reports to its own logger, and so to the same handlers.
    """

    def report(what: str, trace: Trace) -> None:
        record = log.makeRecord(log.name, logging.CRITICAL, __file__, 0, what, (), trace)
        if log.hasHandlers():  # else Python would write it as it is
            log.handle(record)
        if sys.stderr is not None and not is_shown(sys.stderr):
            with suppress(OSError, ValueError):  # a terminal that is gone
                sys.stderr.write(f"{safe(record)}\n")

    def in_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        report("the program crashed", (kind, error, trace))

    def in_thread(args: Any) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else "?"
            report(f"the thread {name} crashed", (args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: Any) -> None:
        if args.exc_value is not None:
            report(f"ignored in {args.object!r}", (args.exc_type, args.exc_value, args.exc_traceback))

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable


def is_shown(stream: object) -> bool:
    """Return whether the running log already writes to a stream."""
    queues = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogQueue)]
    return any(getattr(target, "stream", None) is stream for queue in queues for target in queue.targets)
