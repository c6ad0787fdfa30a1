"""Turn a Flask request into an exchange: read its head, and return the response that carries the exchange.

Our own server and any ASGI server perform the exchange on their event loop. Behind a WSGI server the response performs
it while it is iterated, so that the app is a Flask app everywhere.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Response, g, request

from proxy.errors.request import UnknownPath
from proxy.exchange.request import Kind, RequestHead
from proxy.flow.flow import Flow, new_request_id
from proxy.http.headers import Headers
from proxy.policy.headers import UNDERSCORED, for_upstream
from proxy.policy.origin import check_content_type
from proxy.policy.websocket import handshake_headers
from proxy.web.addresses import leaves_its_folder
from proxy.web.on_loop import Performed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

VERSION = re.compile(r"^/(?:v|%76)(?:1|%31)(?:/|%2f)", re.IGNORECASE)
MAX_CLIENT_NAME = 60  # characters
HandOver = Callable[[Performed, list[tuple[str, str]]], None]
UPSTREAM = "HTTP_X_PROXY_UPSTREAM"  # names the upstream for a request whose model names none
HAND_OVER = "proxy.hand_over"  # environ key: the server's function that takes an exchange


def read_head(kind: Kind, *, wants_json: bool = False) -> RequestHead:
    """Return the head of the current request; raises UnknownPath for a path with `..`, and MalformedRequest."""
    environ = request.environ
    path, _, query = environ["RAW_URI"].partition("?")
    if leaves_its_folder(path):
        raise UnknownPath("a path must not climb")
    if kind == "json":
        check_content_type(request.headers, request.method)
    headers = for_upstream(environ)
    if kind == "websocket":
        headers = Headers((*headers, *handshake_headers(environ)))
    method, caller = environ["REQUEST_METHOD"], g.caller
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    return RequestHead(
        kind,
        method,
        below_version(path),
        query,
        headers,
        caller,
        encoding,
        client_program(),
        environ.get(UPSTREAM) or None,
        received=Headers(received_headers(environ)),
        wants_json=wants_json,
    )


def below_version(path: str) -> str:
    """Return an encoded path without the version at its beginning, which a client may have encoded too."""
    rest = path.removeprefix("/v1")
    return rest if rest.startswith("/") and rest != path else VERSION.sub("/", path)


def received_headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers a client sent, but for the length of its body: this head may come again with another."""
    named = [
        (key.removeprefix("HTTP_").replace("_", "-").lower(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or key == "CONTENT_TYPE"
    ]
    return [*named, *environ.get(UNDERSCORED, ())]


def client_program() -> str | None:
    """Return the calling program's name for itself: its title header, else the first word of its user agent."""
    environ = request.environ
    title = environ.get("HTTP_X_TITLE") or environ.get("HTTP_USER_AGENT", "").partition(" ")[0]
    return title.strip()[:MAX_CLIENT_NAME] or None


def refused_flow() -> Flow:
    """Return the flow of a request that is refused before an exchange begins."""
    caller = g.get("caller")
    flow = Flow(request.method, request.path, client=client_program(), key_name=caller.key_name if caller else None)
    flow.id = g.setdefault("request_id", flow.id)
    return flow


def request_id() -> str:
    """Return this request's id, made at its first use."""
    return str(g.setdefault("request_id", new_request_id()))


class ExchangeResponse(Response):
    """Carry an exchange through Flask; headers that hooks set here are added to the answer's own."""

    default_mimetype = None

    def __init__(self, exchange: Performed) -> None:
        super().__init__()
        del self.headers["Content-Length"]
        self.exchange = exchange

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Hand the exchange over, or perform it here."""
        headers = self.headers.to_wsgi_list()
        hand_over: HandOver | None = environ.get(HAND_OVER)
        if hand_over is not None:
            hand_over(self.exchange, headers)
            return ()
        from proxy.web.standalone import perform  # noqa: PLC0415  brings a thread's machinery our own server never needs

        return perform(self.exchange, headers, environ, start_response)
