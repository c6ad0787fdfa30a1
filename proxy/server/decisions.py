"""What the WSGI app decides about a request, and how long that holds.

The app sees heads, never bodies. So one decision serves every later request with the same head, for as long as its
exchange says that it would decide the same again: tools repeat their heads thousands of times.
"""

import io
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from cachetools import LRUCache

from proxy.server.environ import Scope, environ_for

Headers = list[tuple[str, str]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HAND_OVER = "proxy.hand_over"  # environ key under which a response finds the function that takes its exchange
MAX_KEPT = 256


class Exchange(Protocol):
    """What a response may carry in place of a body."""

    async def perform(self, body: Any, client: Any) -> None:
        """Serve one client on the event loop; may be called again, for another request with the same head."""

    def is_current(self) -> bool:
        """Tell whether the app would decide the same for another request with the same head."""


class Decision:
    """What the app decided: an exchange, or an answer with a body."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.status = 0
        self.headers: Headers = []
        self.body = b""

    def decide(self, app: WsgiApp, scope: Scope, form: bytes = b"") -> "Decision":
        """Run the app; it reads `form` as the request's body."""
        environ = environ_for(scope)
        environ["wsgi.input"] = io.BytesIO(form)
        environ[HAND_OVER] = self._take_over
        answer = app(environ, self._start)
        try:
            self.body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        return self

    def _start(self, status: str, headers: Headers, exc_info: object = None) -> None:  # noqa: ARG002  WSGI's signature
        self.status, self.headers = int(status[:3]), headers

    def _take_over(self, exchange: Exchange, headers: Headers) -> None:
        self.exchange, self.headers = exchange, headers


class Decisions:
    """Ask the app, or remember what it said to the same head. Lives on the event loop."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._kept: LRUCache[tuple[object, ...], Decision] = LRUCache(MAX_KEPT)

    def about(self, scope: Scope) -> Decision:
        """Return the decision about a request."""
        head = (
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["http_version"],
            scope["server"],
            *[header for header in scope["headers"] if header[0] != b"content-length"],
        )
        kept = self._kept.get(head)
        if kept is not None and kept.exchange is not None and kept.exchange.is_current():
            return kept
        decision = Decision().decide(self._app, scope)
        if decision.exchange is not None and decision.exchange.is_current():  # refusals and WebSockets are decided anew
            self._kept[head] = decision
        return decision
