"""Send answers to the client under an ASGI server."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.errors.retry_header import without_retry
from proxy.errors.upstream import ProxyStopped
from proxy.http.headers import encoded
from proxy.http.request_head import IncomingHead

Headers = list[tuple[str, str]]
Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

WAITING_BYTES = 65_536  # as much as may wait for the client
WITHOUT_BODY = (204, 304)


class Outbox:
    """A queue of messages for the client: `put` never waits, and one task sends them in order."""

    def __init__(self) -> None:
        self._messages: deque[tuple[Message, int]] = deque()
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._is_sending = False  # or was, when `deliver` was cancelled
        self.waiting_bytes = 0
        self.moved: Callable[[], None] = lambda: None  # called whenever `waiting_bytes` has changed

    @property
    def is_behind(self) -> bool:
        """Return whether messages wait for a slow client."""
        return self._is_sending or self._is_full

    @property
    def _is_full(self) -> bool:
        return self.waiting_bytes >= WAITING_BYTES

    def put(self, message: Message, size: int = 1) -> None:
        """Queue a message."""
        if not self._is_closed:
            self._messages.append((message, size))
            self._count(size)
            self._changed.set()

    def close(self) -> None:
        """Accept no more messages: `deliver` returns once the queue is sent."""
        self._is_closed = True
        self._changed.set()

    def drop(self) -> None:
        """Discard unsent messages, as the client has gone."""
        while self._messages:
            self._count(-self._messages.popleft()[1])

    async def room(self) -> None:
        """Wait until the client has taken enough of the queue."""
        while self._is_full:
            self._has_room.clear()
            await self._has_room.wait()

    async def deliver(self, send: Send) -> None:
        """Send queued messages until `close`; raises what the server's `send` raises."""
        while True:
            while self._messages:
                message, size = self._messages.popleft()
                self._is_sending = True
                await send(message)
                self._is_sending = False
                self._count(-size)
            if self._is_closed:
                return
            self._changed.clear()
            await self._changed.wait()

    def _count(self, size: int) -> None:
        self.waiting_bytes += size
        if not self._is_full:
            self._has_room.set()
        self.moved()


class AsgiClient:
    """The way back to the client (see `stream.relay.Client`). Nothing here waits but `write`."""

    def __init__(self, outbox: Outbox, head: IncomingHead, kind: str = "http.response") -> None:
        self.outbox = outbox
        self.added_headers: Headers = []  # those the app's hooks add to every answer of this request
        self.has_begun = False
        self.has_ended = False
        self.is_gone = False
        self.is_cut = False
        self._kind = kind
        self._is_head = head.method == "HEAD"
        self._left: int | None = None  # bytes still to come, where the head said how many
        self._may_retry = True

    @property
    def is_behind(self) -> bool:
        """Return whether the next write would wait."""
        return self.outbox.is_behind

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""
        await self.start(status, headers)
        self._put(body, more=False)

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers; the body follows."""
        headers = (headers if self._may_retry else without_retry(status, headers)) + self.added_headers
        lines = [(name.lower(), value) for name, value in headers if name.lower() != "connection"]
        length = next((value for name, value in lines if name == "content-length"), None)
        self._left = 0 if self._is_head or status in WITHOUT_BODY else int(length) if length else None
        self.has_begun = True
        self.outbox.put({"type": f"{self._kind}.start", "status": status, "headers": encoded(lines)})

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""
        self._may_retry = False

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the client has room for more."""
        self._put(data, more=True)
        await self.outbox.room()

    async def finish(self) -> None:
        """End the answer, complete; cut it where the head promised more."""
        self._put(b"", more=False)

    def abort(self) -> None:
        """Cut the answer, so that it does not look complete."""
        self.is_cut = self.has_ended = True

    async def refuse(self, error: ProxyError) -> None:
        """Send an error of ours, or cut an answer that has begun."""
        if self.has_begun:
            self.abort()
            return
        body = error.body()
        await self.whole(error.status, [*error.headers(), ("content-length", str(len(body)))], body)

    async def stop(self) -> None:
        """Cut an answer under way; who still waits for the first byte of one is told."""
        if not self.is_gone and not self.has_ended:
            await self.refuse(ProxyStopped())

    def _put(self, data: bytes, *, more: bool) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if not more and self._left:
            self.abort()
        elif not self.has_ended and (data or not more):
            self.has_ended = not more
            self.outbox.put({"type": f"{self._kind}.body", "body": data, "more_body": more}, len(data) or 1)
