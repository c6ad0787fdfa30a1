"""One uvicorn server on the running loop, with the settings the proxy needs."""

import asyncio
import socket
from functools import partial
from typing import Any

import uvicorn

from proxy.server.bridge import NoteRefusal
from proxy.server.limits import Limits, Watchdog
from proxy.server.ports import BACKLOG
from proxy.server.protocol import ClientConnection

GRACE_S = 3  # how long running answers may go on once the server stops accepting


class RunningServer:
    """Serve an ASGI app on sockets that already listen. Made and used on the event loop."""

    def __init__(self, app: Any, sockets: list[socket.socket], limits: Limits, note_refusal: NoteRefusal) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=partial(ClientConnection, limits, note_refusal),  # type: ignore[arg-type]  # called as the class is
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve(sockets))
        self._watchdog = loop.create_task(Watchdog(self._connections, limits).run(self._is_empty))

    @property
    def is_over(self) -> bool:
        """Tell whether its last connection has gone since it was drained."""
        return self._watchdog.done()

    def drain(self) -> None:
        """Stop accepting; running answers get their grace. A second call does nothing."""
        self._server.should_exit = True

    async def ended(self) -> None:
        """Wait until the last answer has ended, by itself or at the end of its grace."""
        await self._task
        state = self._server.server_state
        await asyncio.gather(*state.tasks, return_exceptions=True)
        self._watchdog.cancel()
        await asyncio.wait([self._watchdog])
        for connection in list(state.connections):  # its reader has left the end of an answer unread
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop tells each connection that it is lost

    def _is_empty(self) -> bool:
        """Tell whether it accepts no more and nobody is left."""
        return self._task.done() and not self._server.server_state.connections

    def _connections(self) -> list[ClientConnection]:
        """Return those that speak HTTP."""
        return [each for each in self._server.server_state.connections if isinstance(each, ClientConnection)]
