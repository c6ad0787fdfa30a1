"""One server on the running loop: its connections, and how it drains."""

import asyncio
import socket
import time
from contextlib import suppress
from email.utils import formatdate

from proxy.errors.proxy_error import ProxyError
from proxy.server.bridge import NoteRefusal
from proxy.server.connection import App, ClientConnection
from proxy.server.limits import Limits, Watchdog
from proxy.server.ports import BACKLOG

ACCEPTED_AT_ONCE = 8  # it takes some turns of the loop to see that they are too many, and each takes a file meanwhile
TURNS_OF_ACCEPTING = 4  # of the loop, in which a connection that was accepted just before becomes known here
TURNS_OF_LOSING = 4  # in which the loop tells each connection that it is lost


class RunningServer:
    """Serve an app on sockets that already listen. Made and used on the event loop."""

    def __init__(self, app: App, sockets: list[socket.socket], limits: Limits, note_refusal: NoteRefusal) -> None:
        self.app = app
        self._sockets = sockets
        self._limits = limits
        self._note_refusal = note_refusal
        self._connections: set[ClientConnection] = set()
        self._draining = asyncio.Event()
        self._emptied = asyncio.Event()
        self.date_line = date_line()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._serve())
        self._watching = loop.create_task(self._watch())

    @property
    def is_over(self) -> bool:
        """Tell whether its last connection has gone since it was drained."""
        return self._watching.done()

    def enter(self, connection: ClientConnection) -> bool:
        """Take note of a connection; False where there are too many."""
        self._connections.add(connection)
        if self._draining.is_set():  # it was accepted just before
            connection.transport.abort()
        return len(self._connections) <= self._limits.connections

    def leave(self, connection: ClientConnection) -> None:
        """Take note that nothing of a connection is left."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def note_refusal(self, method: str, path: str, error: ProxyError) -> None:
        """Announce a request that is refused before the app hears of it."""
        self._note_refusal(method, path, error)

    def drain(self) -> None:
        """Stop accepting; running answers get their grace. A second call does nothing."""
        self._draining.set()

    async def ended(self) -> None:
        """Wait until the last answer has ended, by itself or at the end of its grace."""
        await self._task
        tasks = [task for connection in self._connections for task in connection.stop()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watching.cancel()
        await asyncio.wait([self._watching])
        for connection in list(self._connections):  # its reader has left the end of an answer unread
            connection.transport.abort()
        for _ in range(TURNS_OF_LOSING):
            await asyncio.sleep(0)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        listeners = [
            await loop.create_server(lambda: ClientConnection(self), sock=listener, backlog=ACCEPTED_AT_ONCE)
            for listener in self._sockets
        ]
        for listener in self._sockets:
            listener.listen(BACKLOG)  # asyncio's word for both: how many wait, and how many it accepts in one go
        await self._draining.wait()
        # Closed in a second step: asyncio loses a connection that was accepted while its listener is being closed.
        for listener in self._sockets:
            with suppress(NotImplementedError):  # Windows' loop, which has no readers
                loop.remove_reader(listener)
        for _ in range(TURNS_OF_ACCEPTING):
            await asyncio.sleep(0)
        for each in listeners:
            each.close()
        for connection in list(self._connections):
            connection.shut_down()
        if self._connections:
            self._emptied.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), self._limits.grace_s)
        for connection in list(self._connections):
            connection.stop()

    async def _watch(self) -> None:
        """Look at the clock and at every connection, until no more is accepted and nobody is left."""
        watchdog, now = Watchdog(self._connections, self._limits), asyncio.get_running_loop().time
        while self._connections or not self._task.done():
            await asyncio.sleep(self._limits.look_every_s)
            self.date_line = date_line()
            watchdog.look(now())


def date_line() -> str:
    """Return the header that says when an answer was made."""
    return f"date: {formatdate(time.time(), usegmt=True)}\r\n"
