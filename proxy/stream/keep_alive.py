"""Keep a client that waits for events from giving up: send comments while the upstream is silent.

One timer a stream, moved on lazily: a chunk that passes costs a look at the clock and nothing more. Lives on the loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.http.headers import Headers
from proxy.stream.event_json import read_object

KEEP_ALIVE = b": keep-alive\n\n"  # never ": ping": to one editor that is the end; never an empty data: line
EVENT_STREAM = Headers([("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")])

ErrorEvent = Callable[[Mapping[str, Any]], bytes]  # writes an error object as an event of the format


def always() -> bool:
    """Return True."""
    return True


class Listener(Protocol):
    """The client, as far as a comment needs it."""

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""

    async def write(self, data: bytes) -> None:
        """Send some of the body."""

    def forbid_retry(self) -> None:
        """Tell the client with every error from now on that it must not ask again by itself."""


@dataclass(slots=True)
class KeepAlive:
    """Send comments to one client, from when it is known to wait for events until `stop`."""

    client: Listener
    is_on: bool = False
    was_silent: bool = False  # the upstream has said nothing for as long as a comment takes, once
    has_begun: bool = False  # status and headers have left, ahead of the upstream's own
    _timer: asyncio.TimerHandle | None = None
    _comment_task: "asyncio.Task[None] | None" = None
    _every_s: float = 0.0
    _last: float = 0.0
    _error_event: ErrorEvent | None = None
    _at_border: Callable[[], bool] = always
    _follows: bool = False

    def expect(self, every_s: float, error_event: ErrorEvent) -> None:
        """Begin: the client waits for events, in which an error is written like this."""
        self._every_s, self._error_event, self.is_on = every_s, error_event, True
        self.note()
        self._timer = asyncio.get_running_loop().call_later(every_s, self._look)

    def follow(self, at_border: Callable[[], bool]) -> None:
        """From now on the answer's chunks are written; it tells when they end between two events."""
        self._follows, self._at_border = True, at_border
        self.note()

    def note(self) -> None:
        """Take note that something is written now."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """Send no more of them; a second call does nothing."""
        self.is_on = False
        if self._timer is not None:
            self._timer.cancel()
        if self._comment_task is not None:
            self._comment_task.cancel()

    def forbid_retry(self) -> None:
        """Have the client told not to ask again by itself: what it has asked for has had effects."""
        self.client.forbid_retry()

    def events_of(self, status: int, body: bytes) -> bytes:
        """Return a whole answer as events, for a client that was promised them: an error is one, events stay."""
        if status < 400 or self._error_event is None:
            return body
        value = read_object(body) or {}
        error = value.get("error")
        if isinstance(error, dict) and value.get("type") == "error":  # Claude's form
            return self._error_event({"code": None, **error})
        if not isinstance(error, dict):  # a refusal in a form of its own
            said = body.decode("utf-8", "replace")
            error = {"message": said, "type": "upstream_error", "param": None, "code": f"upstream_status_{status}"}
        return self._error_event(error)

    def _look(self) -> None:
        loop, left_s = asyncio.get_running_loop(), self._last + self._every_s - time.monotonic()
        if left_s <= 0:
            self.was_silent = True
            self._comment_task = loop.create_task(self._comment())
            left_s = self._every_s
        self._timer = loop.call_later(left_s, self._look)

    async def _comment(self) -> None:
        """Send a comment; nothing in here waits, so that no chunk can come in between."""
        if self.client.is_behind or not self._at_border():
            return
        if not self.has_begun and not self._follows:
            self.has_begun = True
            await self.client.start(200, EVENT_STREAM)
        await self.client.write(KEEP_ALIVE)
