"""Handle the WebSocket handshake (RFC 6455, section 4): the headers to pass on, and the key in a sub-protocol."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.errors.request import MalformedRequest
from proxy.http.headers import Headers
from proxy.policy.headers import for_client

KEY_PROTOCOL = "openai-insecure-api-key."  # a browser can set no header; its clients offer their key as a sub-protocol
TO_UPSTREAM = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")
TO_CLIENT = frozenset({"sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"})
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
NONCE = re.compile(r"[A-Za-z0-9+/]{22}==")


def handshake_headers(environ: Mapping[str, Any]) -> Headers:
    """Return the handshake's headers for the upstream, beside the usual ones; raises MalformedRequest."""
    if environ["REQUEST_METHOD"] != "GET" or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise MalformedRequest("a WebSocket begins with GET over HTTP/1.1")
    if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
        raise MalformedRequest("a WebSocket begins with a request that has no body")
    if not NONCE.fullmatch(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")):
        raise MalformedRequest("a WebSocket needs one Sec-WebSocket-Key")
    given = [(name, environ.get("HTTP_" + name.upper().replace("-", "_"))) for name in TO_UPSTREAM]
    protocols = ", ".join(protocols_for_upstream(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")))
    headers = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-protocol", protocols), *given]
    return Headers((name, value) for name, value in headers if value)


def protocols_for_upstream(offered: str) -> list[str]:
    """Return the offered sub-protocols, without the one that holds a key."""
    return [protocol for protocol in listed(offered) if not protocol.lower().startswith(KEY_PROTOCOL)]


def key_among_protocols(offered: str) -> str | None:
    """Return the key that a client sent as a sub-protocol."""
    keys = (protocol[len(KEY_PROTOCOL) :] for protocol in listed(offered) if protocol.lower().startswith(KEY_PROTOCOL))
    return next(keys, None) or None


def handshake_answer(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers of the upstream's handshake answer for the client."""
    headers = list(headers)
    return Headers((*((name, value) for name, value in headers if name in TO_CLIENT), *for_client(headers)))


def proof_for(nonce: str) -> str:
    """Return the Sec-WebSocket-Accept value that answers a Sec-WebSocket-Key."""
    digest = hashlib.sha1((nonce + MAGIC).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def listed(value: str) -> list[str]:
    """Return the entries of a list in a header."""
    return [entry for part in value.split(",") if (entry := part.strip())]
