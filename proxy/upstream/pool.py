"""The connections to one upstream: used again where that is safe, and replaced where one had died meanwhile."""

import asyncio
import time

from proxy.errors.upstream import NetworkProxyRefused, UpstreamFailure, UpstreamProtocolFailure
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.dial import Dialer
from proxy.upstream.network_proxy import AUTH_REQUIRED, NO_ANSWER, NO_HTTP
from proxy.upstream.open_socket import OpenSocket
from proxy.upstream.wire import WireAnswer
from proxy.upstream.wire_request import BrokenOff, NotHttp, WireRequest

IDLE_LIMIT_S = 30.0  # who knows whether the other end still is there after that
CLOCK_JUMP_S = 2.0  # between the clock of the wall and the one that counts: the computer has slept, or was set
CLOSE_LIMIT_S = 1.0


class Pool:
    """Send requests over connections of one dialer. Lives on the event loop."""

    def __init__(self, dialer: Dialer, silence_s: float) -> None:
        self._dialer = dialer
        self._silence_s = silence_s
        self._idle: list[UpstreamConnection] = []  # the one that was used last is used first
        self._open: set[UpstreamConnection] = set()
        self._is_closed = False

    async def send(self, request: WireRequest) -> WireAnswer:
        """Send once and return the answer, whatever its status; raises UpstreamFailure, and what the body raises.

        Where a connection that was used before had died the request goes over a new one; one that cannot be sent twice
        goes over a new one from the start.
        """
        try:
            is_repeatable = isinstance(request.body, bytes)
            if is_repeatable and (connection := self._take()) is not None:
                try:
                    return self._checked(await connection.exchange(request))
                except BrokenOff as error:
                    if not error.is_stale:
                        raise
                    self._drop_idle()  # the network may have changed under all of them
            return self._checked(await (await self._connect()).exchange(request))
        except (BrokenOff, NotHttp) as error:
            raise self._failure_of(error) from error

    async def open_websocket(self, head: bytes) -> OpenSocket | WireAnswer:
        """Send a handshake over a new connection; return the open socket, or the answer that refuses it."""
        connection = await self._connect()
        try:
            answer = self._checked(await connection.exchange(WireRequest(head, b"")))
        except (BrokenOff, NotHttp) as error:
            raise self._failure_of(error) from error
        if answer.status != 101:
            return answer
        opened = connection.switch()
        if opened is None:
            answer.close()
            raise UpstreamProtocolFailure("it said 101 and did not become a WebSocket")
        return opened

    async def close(self) -> None:
        """Close every connection, and wait until they are."""
        self._is_closed = True
        for connection in list(self._open):
            connection.abort()
        deadline = time.monotonic() + CLOSE_LIMIT_S
        while self._open and time.monotonic() < deadline:  # noqa: ASYNC110  it takes one turn of the loop, or two
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the system's end of the last one is closed after we are told

    async def _connect(self) -> UpstreamConnection:
        transport = await self._dialer.open()
        connection = UpstreamConnection(transport, self._silence_s, self._note_done, self._lose)
        self._open.add(connection)
        if self._is_closed:
            connection.abort()
        return connection

    def _take(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            rested_s = asyncio.get_running_loop().time() - connection.idle_at
            jump_s = abs(time.time() - connection.idle_wall_at - rested_s)
            if rested_s > IDLE_LIMIT_S or jump_s > CLOCK_JUMP_S:
                connection.abort()
                self._drop_idle()  # those below it have rested longer
            elif connection.is_open:
                return connection
        return None

    def _drop_idle(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _note_done(self, connection: UpstreamConnection, is_reusable: bool) -> None:
        if self._dialer.origin.is_tls:
            self._dialer.keep_session(connection.raw_transport)
        if is_reusable and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.abort()

    def _lose(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _checked(self, answer: WireAnswer) -> WireAnswer:
        """Return the answer; raises what the network's proxy says of its login where it is who answers."""
        proxy = self._dialer.proxy
        if proxy is not None and answer.status == AUTH_REQUIRED and self._dialer.asks_proxy:
            answer.close()
            raise proxy.refusal(answer.status)
        return answer

    def _failure_of(self, error: BrokenOff | NotHttp) -> UpstreamFailure:
        proxy = self._dialer.proxy
        if proxy is not None and self._dialer.asks_proxy:
            return NetworkProxyRefused(f"{proxy} {NO_HTTP if isinstance(error, NotHttp) else NO_ANSWER}")
        return UpstreamProtocolFailure(f"it is no HTTP: {error}" if isinstance(error, NotHttp) else str(error))
