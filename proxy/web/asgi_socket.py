"""A WebSocket under an ASGI server, which settles the handshake with the client itself; the upstream gets another."""

import asyncio
import base64
import os
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxy.http.headers import encoded
from proxy.http.request_head import IncomingHead
from proxy.web.asgi_body import Receive
from proxy.web.asgi_client import AsgiClient, Headers, Outbox

if TYPE_CHECKING:
    from proxy.web.asgi_frames import MessageTransport

REFUSAL = "websocket.http.response"  # the extension of servers that can refuse a WebSocket with a whole answer
# What the server has settled with the client, and what a handshake over HTTP/2 does without.
OF_THE_CONNECTION = frozenset(
    {
        b"connection",
        b"content-length",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    }
)


class SocketClient(AsgiClient):
    """The way back to a client that wants a WebSocket (see `exchange.tunnel.SwitchingClient`)."""

    def __init__(self, outbox: Outbox, scope: dict[str, Any], head: IncomingHead) -> None:
        super().__init__(outbox, head, REFUSAL)
        self._can_refuse = REFUSAL in (scope.get("extensions") or {})
        self._transport: MessageTransport | None = None
        self.handshake = handshake_of(head, scope.get("subprotocols") or ())

    async def start(self, status: int, headers: Headers) -> None:
        """Refuse the WebSocket; where the server cannot say why, it says 403."""
        await super().start(status, headers)
        if not self._can_refuse:
            self.has_ended = True
            self.outbox.drop()
            self.outbox.put({"type": "websocket.close"})

    def switch(self, headers: Headers) -> "tuple[asyncio.Transport, bytes]":
        """Accept the WebSocket and return its end of the tunnel."""
        # Late: it brings a package that who serves no WebSockets does without.
        from proxy.web.asgi_frames import MessageTransport  # noqa: PLC0415

        others = [(name, value) for name, value in headers if not name.startswith("sec-websocket-")]
        protocol = dict(headers).get("sec-websocket-protocol")
        self.has_begun = self.has_ended = True
        self.outbox.put({"type": "websocket.accept", "subprotocol": protocol, "headers": encoded(others)})
        self._transport = MessageTransport(self.outbox)
        return self._transport, b""

    async def follow(self, receive: Receive) -> None:
        """Hand over what the client sends; returns when it has left."""
        while True:
            if self._transport is not None:
                await self._transport.readable()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                break
            if self._transport is not None:
                self._transport.take(message)
        if self._transport is not None:
            self._transport.end(message.get("code"), message.get("reason") or "")


def handshake_of(head: IncomingHead, protocols: Collection[str]) -> IncomingHead:
    """Return a client's head as the handshake that goes upstream, in the form of HTTP/1.1."""
    own = [("connection", "Upgrade"), ("upgrade", "websocket"), ("content-length", "0")]
    own += [("sec-websocket-key", base64.b64encode(os.urandom(16)).decode()), ("sec-websocket-version", "13")]
    dropped = OF_THE_CONNECTION
    if protocols:  # not every server leaves their header among the others
        own.append(("sec-websocket-protocol", ", ".join(protocols)))
        dropped |= {b"sec-websocket-protocol"}
    headers = [(name, value) for name, value in head.headers if name not in dropped]
    return replace(head, method="GET", version="1.1", headers=[*headers, *encoded(own)])
