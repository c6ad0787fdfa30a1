"""How slow and how many: the limits beside those of sizes (`proxy/http/sizes.py`).

One look a second goes over all connections: a request pays nothing for it.
"""

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from proxy.errors.request import RequestTooSlow
from proxy.server.connection import ClientConnection

# Windows' loop tells of a write only when all of it was taken: a slow reader seems to take nothing meanwhile.
READER_S = 300.0 if sys.platform == "win32" else 60.0
OWN_FILES = 64  # what the program holds open beside its connections

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Seconds each side may keep the other waiting, grace at the end, and how many connections there may be."""

    head_s: float = 10.0  # from its first byte, or from the connection, to its end
    body_s: float = 15.0  # between two pieces
    reader_s: float = READER_S  # without taking anything of what it asked for
    idle_s: float = 75.0  # between two requests
    grace_s: float = 3.0  # for running answers, once the server stops accepting
    look_every_s: float = 1.0
    connections: int = 4_096


Wait = Literal["head", "body", "reader", "idle"]


class Watchdog:
    """Look at every connection again and again, and end those that have kept us waiting too long."""

    def __init__(self, connections: Iterable[ClientConnection], limits: Limits) -> None:
        self._connections = connections
        self._allowed: dict[Wait, float] = {
            "head": limits.head_s,
            "body": limits.body_s,
            "reader": limits.reader_s,
            "idle": limits.idle_s,
        }
        self._seen: dict[ClientConnection, tuple[tuple[Wait, int], float]] = {}  # what each waits for, and since when

    def look(self, now: float) -> None:
        """Look at each connection once."""
        seen = {}
        for connection in list(self._connections):
            standing = standing_of(connection)
            if standing is None:
                continue
            before = self._seen.get(connection)
            since = before[1] if before is not None and before[0] == standing else now
            if now - since < self._allowed[standing[0]]:
                seen[connection] = (standing, since)
            else:
                end(connection, standing[0])
        self._seen = seen


def standing_of(connection: ClientConnection) -> tuple[Wait, int] | None:
    """Return what a connection waits for, with a number that changes when it moves; None where it waits for us."""
    last, reader = connection.last, connection.reader
    if unread := connection.transport.get_write_buffer_size():
        return "reader", unread
    if connection.is_gone or connection.has_left_http:
        return None
    if last is not None and not last.has_ended:
        waits_for_body = not (last.body.is_whole or connection.is_reading_paused or last.waits_for_continue)
        # What wraps a body is no progress, and has the time of a head: a trailer that drips would never end.
        return ("head" if reader.is_body_bare else "body", reader.body_bytes) if waits_for_body else None
    if reader.heads and (reader.is_between or reader.is_body_open):
        return "idle", reader.heads + reader.body_bytes
    return "head", reader.heads  # none before the first byte


def end(connection: ClientConnection, wait: Wait) -> None:
    """End a wait that took too long."""
    log.info("a connection is given up: its %s took too long", wait)
    if wait == "body":
        connection.stall()
    elif wait == "reader":
        connection.transport.abort()
    elif wait == "head" and connection.reader.heads:
        connection.refuse(RequestTooSlow())
    else:
        connection.transport.close()


def affordable(connections: int) -> int:
    """Return how many of so many connections the system has files for: each has one to the upstream too."""
    if sys.platform == "win32":
        return connections
    import resource  # noqa: PLC0415  not on Windows

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return connections
    return min(connections, max((allowed - OWN_FILES) // 2, 1))
