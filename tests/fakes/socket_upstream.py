"""A provider that speaks WebSocket: a real server on 127.0.0.1, whose side of the conversation a test writes."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from fakes.loops import turn

STOP_S = 10.0
LIMIT_BYTES = 64 * 2**20

Talk = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    """Say back every message."""
    async for message in connection:
        await connection.send(message)


class SocketUpstream:
    """Run on a free port, from `with` to the end of its block; each connection runs `talk`, unless `refusal` is set."""

    def __init__(
        self, *, subprotocols: Sequence[str] = (), stubborn: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.talk: Talk = echo
        self.refusal: Response | None = None
        self.handshakes: list[Request] = []
        self.talking = 0  # how many conversations have not ended
        self.closes: list[tuple[int | None, str | None]] = []
        self._subprotocols = subprotocols  # those it knows, the dearest first
        self._stubborn = stubborn  # the one it insists on, whatever is offered
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="socket-upstream")
        self._server: Server | None = None

    def __enter__(self) -> "SocketUpstream":
        self._thread.start()
        self._server = self.do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()

    @property
    def port(self) -> int:
        """Return where it listens."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def base_url(self) -> str:
        """Return the base URL that a client is given."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        """Return how many sockets are open."""
        assert self._server is not None
        return len(self._server.connections)

    def header(self, name: str) -> list[str]:
        """Return the values a header had in the last handshake."""
        return self.handshakes[-1].headers.get_all(name)

    def refuse(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Refuse every handshake from now on."""
        headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
        self.refusal = Response(status, "Scripted", headers, body)

    def forget(self) -> None:
        """Be as new, for the next test."""
        self.talk, self.refusal = echo, None
        self.handshakes.clear()
        self.closes.clear()

    def do(self, work: Awaitable[Any]) -> Any:
        """Do something on the server's loop and return what it returns."""
        done: Future[Any] = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        return done.result(STOP_S)

    def abort_all(self) -> None:
        """Break every connection without a word."""

        async def abort() -> None:
            assert self._server is not None
            for connection in self._server.connections:
                connection.transport.abort()

        self.do(abort())

    async def _listen(self) -> Server:
        return await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._greet,
            select_subprotocol=self._choose,
            max_size=LIMIT_BYTES,
            ssl=self._tls,
        )

    def _choose(self, connection: ServerConnection, offered: Sequence[Any]) -> Any:
        return self._stubborn or next((own for own in self._subprotocols if own in offered), None)

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        return self.refusal

    async def _serve(self, connection: ServerConnection) -> None:
        self.talking += 1
        try:
            await self.talk(connection)
        except ConnectionClosed:
            pass
        finally:
            await connection.close()
            self.closes.append((connection.close_code, connection.close_reason))
            self.talking -= 1

    async def _end(self) -> None:
        assert self._server is not None
        for listener in self._server.sockets:
            self._loop.remove_reader(listener.fileno())
        await turn()
        self._server.close()
        for connection in self._server.connections:
            connection.transport.abort()
        await self._server.wait_closed()
        await turn()


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work
