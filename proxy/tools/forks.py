"""Keep the proxy's connections out of the processes that tools fork.

A program that is started gets none of them: Python opens its sockets so that they close. A fork copies them all, and
then a port stays taken and a connection open for as long as the child lives.
"""

import os
import socket
import stat
from contextlib import suppress
from functools import cache

DESCRIPTORS = "/dev/fd"  # one entry a descriptor, on Linux and on macOS
INTERNET = (socket.AF_INET, socket.AF_INET6)


@cache
def guard_forks() -> None:
    """Drop the connections in every child forked from now on; a fork inside a C library's own code is not seen."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=drop_connections)


def drop_connections() -> None:
    """Put nothing in the place of every internet socket of this process: nobody else is told, nothing is shut down.

    The numbers stay taken, so that a forgotten socket object which closes its number closes nothing of the child's.
    """
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in open_descriptors():
            with suppress(OSError):
                if is_connection(descriptor):
                    os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


def open_descriptors() -> list[int]:
    """Return the numbers of all open descriptors; raises OSError."""
    return [int(name) for name in os.listdir(DESCRIPTORS) if name.isdecimal()]  # noqa: PTH208  numbers, no paths


def is_connection(descriptor: int) -> bool:
    """Tell whether a descriptor is an internet socket, listening or connected; raises OSError for one that is gone."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    found = socket.socket(fileno=descriptor)
    try:
        return found.family in INTERNET
    finally:
        found.detach()
