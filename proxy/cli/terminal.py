"""Print where somebody reads it: nothing that could steer a terminal, and no letter it cannot show."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from proxy.logs.redaction import escape, redact


def say(text: str, *, err: bool = False) -> None:
    """Print without keys: some of it others have written."""
    show(redact(text), err=err)


def show(text: object, *, err: bool = False) -> None:
    """Print as it is but for what would do harm; started by a double-click there is no terminal, and nothing happens.

    Written to a file or a pipe, output has the system's own encoding on Windows, which knows few letters.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(escape(str(text)).encode(encoding, "backslashreplace").decode(encoding), err=err)


def sentence_of(error: OSError) -> str:
    """Return what the system refused, and of which file, as a sentence."""
    why = error.strerror or str(error) or type(error).__name__
    return f"{error.filename} cannot be used: {why}." if error.filename else f"The system refused: {why}."


@contextmanager
def log_silent() -> Iterator[None]:
    """Keep quiet in the log what the command itself says; one such block may lie within another."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
