"""A running log, and logging as it was before."""

import logging
from collections.abc import Iterator

import pytest

from proxy.logs.log import Log, start_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take back what `start_logging` sets for the whole process."""
    names = ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile")
    values = [getattr(logging, name) for name in names]
    loggers = logging.root.manager.loggerDict
    levels = {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    yield
    for name, value in zip(names, values, strict=True):
        setattr(logging, name, value)
    for name, logger in loggers.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))


@pytest.fixture
def running() -> Log:
    """Start the log, and hide one stored key that has no telling shape."""
    started = start_logging()
    started.hide(lambda: ["plain-stored-key"])
    return started
