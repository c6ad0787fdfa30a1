"""What the WSGI app decides about a request, and how long that holds.

The app sees heads, never bodies. So one decision serves every later request with the same head, for as long as its
exchange says that it would decide the same again: tools repeat their heads thousands of times.
"""

import io
import sys
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from cachetools import LRUCache

from proxy.http.request_head import IncomingHead

Headers = list[tuple[str, str]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HAND_OVER = "proxy.hand_over"  # environ key under which a response finds the function that takes its exchange
MAX_KEPT_BYTES = 2_000_000  # of some hundred usual heads
OWN_BYTES = 4_000  # what a decision takes beside its head
COPIES = 6  # of a head: raw, parsed, and what of it goes upstream
WITHOUT_PREFIX = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
MAX_NAME_BYTES = 64  # of a header whose key is remembered: strangers choose the names


class Endpoints(NamedTuple):
    """The two ends of a connection, as far as they have addresses."""

    scheme: str
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None


class Exchange(Protocol):
    """What a response may carry in place of a body."""

    async def perform(self, body: Any, client: Any) -> None:
        """Serve one client on the event loop; may be called again, for another request with the same head."""

    def is_current(self) -> bool:
        """Tell whether the app would decide the same for another request with the same head."""


class Decision:
    """What the app decided: an exchange, or an answer with a body."""

    def __init__(self, head: IncomingHead) -> None:
        self.head = head
        self.size_bytes = OWN_BYTES + COPIES * (len(head.path) + len(head.query) + sum(map(len, chain(*head.headers))))
        self.exchange: Exchange | None = None
        self.status = 0
        self.headers: Headers = []
        self.body = b""

    def holds(self) -> bool:
        """Tell whether the app would decide the same again; refusals and WebSockets are decided anew."""
        return self.exchange is not None and self.exchange.is_current()

    def decide(self, app: WsgiApp, endpoints: Endpoints, form: bytes = b"") -> "Decision":
        """Run the app; it reads `form` as the request's body."""
        environ = environ_for(self.head, endpoints)
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
        self._kept: LRUCache[Hashable, Decision] = LRUCache(MAX_KEPT_BYTES, attrgetter("size_bytes"))
        self.kept = self._kept.get

    def about(self, head: IncomingHead, endpoints: Endpoints) -> Decision:
        """Return the decision about a request."""
        key = head.key or parsed_key(head, endpoints)
        kept = self._kept.get(key)
        if kept is not None and kept.holds():
            return kept
        decision = Decision(head).decide(self._app, endpoints)
        if decision.size_bytes <= MAX_KEPT_BYTES and decision.holds():
            self._kept[key] = decision
        return decision


def parsed_key(head: IncomingHead, endpoints: Endpoints) -> Hashable:
    """Return what tells a head from others, but for the length of its body."""
    others = [header for header in head.headers if header[0] != b"content-length"]
    return (endpoints.server, head.method, head.path, head.query, head.version, *others)


@lru_cache(maxsize=512)
def remembered_key(name: bytes) -> str:
    """Return the environment's key for a header, made once."""
    return made_key(name)


def made_key(name: bytes) -> str:
    """Return the environment's key for a header."""
    return WITHOUT_PREFIX.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


UNDERSCORED = "proxy.underscored"  # environ key: the headers whose names WSGI cannot tell from others


def environ_for(head: IncomingHead, endpoints: Endpoints) -> dict[str, Any]:
    """Return the environment; the body is not in it: views do not read it, the exchange does."""
    host, port = endpoints.server or ("", None)
    query = head.query.decode("latin-1")
    path = head.path.decode("latin-1")
    client = endpoints.client
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": f"{path}?{query}" if query else path,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "REMOTE_ADDR": client[0] if client else "",
        "REMOTE_PORT": str(client[1]) if client else "0",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": endpoints.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in head.headers:
        if b"_" in name:  # it would pass for the header with hyphens, and slip by what looks at that
            environ.setdefault(UNDERSCORED, []).append((name.decode("latin-1").lower(), value.decode("latin-1")))
            continue
        key = remembered_key(name) if len(name) <= MAX_NAME_BYTES else made_key(name)
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
