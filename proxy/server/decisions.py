"""What the WSGI app decides about a request, and how long that holds.

The app sees heads, never bodies. So one decision serves every later request with the same head, for as long as its
exchange says that it would decide the same again: tools repeat their heads thousands of times.
"""

import io
from collections.abc import Callable, Hashable, Iterable
from itertools import chain
from typing import Any, Protocol

from cachetools import LRUCache

from proxy.http.request_reader import IncomingHead
from proxy.server.environ import Endpoints, environ_for

Headers = list[tuple[str, str]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HAND_OVER = "proxy.hand_over"  # environ key under which a response finds the function that takes its exchange
MAX_KEPT_BYTES = 2_000_000  # of some hundred usual heads
OWN_BYTES = 4_000  # what a decision takes beside its head
COPIES = 6  # of a head: raw, parsed, and what of it goes upstream


class Exchange(Protocol):
    """What a response may carry in place of a body."""

    async def perform(self, body: Any, client: Any) -> None:
        """Serve one client on the event loop; may be called again, for another request with the same head."""

    def is_current(self) -> bool:
        """Tell whether the app would decide the same for another request with the same head."""


class Decision:
    """What the app decided: an exchange, or an answer with a body."""

    def __init__(self) -> None:
        self.head: IncomingHead | None = None
        self.exchange: Exchange | None = None
        self.status = 0
        self.headers: Headers = []
        self.body = b""

    @property
    def size_bytes(self) -> int:
        """Return about how much memory it takes."""
        head = self.head
        if head is None:
            return OWN_BYTES
        return OWN_BYTES + COPIES * (len(head.path) + len(head.query) + sum(map(len, chain(*head.headers))))

    def holds(self) -> bool:
        """Tell whether the app would decide the same again; refusals and WebSockets are decided anew."""
        return self.exchange is not None and self.exchange.is_current()

    def decide(self, app: WsgiApp, head: IncomingHead, endpoints: Endpoints, form: bytes = b"") -> "Decision":
        """Run the app; it reads `form` as the request's body."""
        self.head = head
        environ = environ_for(head, endpoints)
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
    """Ask the app, or remember what it said to the same head. Lives on the event loop.

    Only what the app has let in is kept, and no more than some bytes of it.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._kept: LRUCache[Hashable, Decision] = LRUCache(MAX_KEPT_BYTES, lambda decision: decision.size_bytes)
        self.kept = self._kept.get

    def about(self, head: IncomingHead, endpoints: Endpoints) -> Decision:
        """Return the decision about a request."""
        key = head.key or parsed_key(head, endpoints)
        kept = self._kept.get(key)
        if kept is not None and kept.holds():
            return kept
        decision = Decision().decide(self._app, head, endpoints)
        if decision.holds() and decision.size_bytes <= MAX_KEPT_BYTES:
            self._kept[key] = decision
        return decision


def parsed_key(head: IncomingHead, endpoints: Endpoints) -> Hashable:
    """Return what tells a head from others, but for the length of its body."""
    others = [header for header in head.headers if header[0] != b"content-length"]
    return (endpoints.server, head.method, head.path, head.query, head.version, *others)
