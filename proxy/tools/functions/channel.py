"""The functions' end of the pipes: kept aside, so that what tools print, read or fork cannot break them."""

import os
import sys
import threading
from contextlib import suppress
from typing import BinaryIO

from proxy.tools.functions.frames import LENGTH, Message, NoFrame, frame, message_of

DESCRIPTORS = "/dev/fd"  # one entry a descriptor, on Linux and on macOS
STANDARD = 2  # the last of the three that every program has


class Channel:
    """Read messages on one thread, write them from any."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._writing = threading.Lock()

    def receive(self) -> Message | None:
        """Wait for the next message; return None where there will be no other."""
        try:
            (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
            return message_of(self._exactly(size))
        except (EOFError, OSError, NoFrame):
            return None

    def send(self, message: Message) -> None:
        """Write a message; does nothing where the proxy is gone, for then `receive` ends too."""
        rest = memoryview(frame(message))
        with self._writing:
            try:
                while rest:
                    rest = rest[self._outgoing.write(rest) :]
            except OSError:
                return

    def _exactly(self, size: int) -> bytes:
        """Read so many bytes; raises EOFError where there are fewer."""
        data = self._incoming.read(size)
        if len(data) < size:
            raise EOFError
        return data


def take_channel() -> Channel:
    """Return the pipes that are this process's input and output, and put others in their place.

    What reads standard input finds its end; what is written to standard output goes where the errors go.
    """
    close_others()
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: forget(reading, writing))
    return Channel(os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0))


def close_others() -> None:
    """Close what else was handed down: loops other than Python's own pass on what a server has marked as inheritable.

    Such are the sockets at which uvicorn and gunicorn listen.
    """
    if os.name == "posix":
        with suppress(OSError):
            for descriptor in map(int, os.listdir(DESCRIPTORS)):  # noqa: PTH208  numbers, no paths
                if descriptor > STANDARD:
                    with suppress(OSError):
                        os.close(descriptor)


def forget(*descriptors: int) -> None:
    """Put nothing in the place of descriptors that a forked process must not hold: it may live longer than we do.

    Their numbers stay taken, so that nothing of the process's own is closed in their stead.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
