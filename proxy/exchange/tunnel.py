"""A WebSocket on its way: the client's own handshake goes up, and then every byte both ways as it came."""

import time
from collections.abc import Callable
from typing import Protocol

from proxy.errors.upstream import UpstreamFailure, UpstreamProtocolFailure
from proxy.exchange.answers import Expected, answer_for
from proxy.exchange.call import Call, RequestBody
from proxy.exchange.exchange import Exchange, or_our_error, severity
from proxy.exchange.inflight import InFlight
from proxy.logs.redaction import without_logins
from proxy.policy.headers import Headers
from proxy.policy.websocket import handshake_answer, listed
from proxy.stream.pulse import Pulse
from proxy.stream.relay import Answer, Client, relay
from proxy.stream.tunnel import Line, Tunnel
from proxy.upstream.client import Upstream
from proxy.upstream.condition import UpstreamCondition
from proxy.upstream.messages import UpstreamRequest, UpstreamSocket


class SwitchingClient(Client, Protocol):
    """A client whose connection can leave HTTP."""

    def switch(self, headers: Headers) -> Line:
        """Answer 101 and give the connection away."""


class Sockets:
    """Open sockets to the upstream."""

    def __init__(self, upstream: Upstream, condition: UpstreamCondition, hide: Callable[[str], str]) -> None:
        self._upstream = upstream
        self._condition = condition
        self._hide = hide

    async def open(self, call: Call) -> UpstreamSocket | Answer:
        """Return the open socket, or what the client is given for the upstream's refusal; raises ProxyError."""
        request = UpstreamRequest(call.method, call.path, call.query, call.headers, None, None)
        own_key = call.caller.upstream_key is None
        try:
            opened = await self._upstream.shake_hands(request, call.caller.upstream_key)
        except UpstreamFailure as failure:
            failure.detail = self._hide(failure.detail)
            self._condition.note_failure(failure)
            raise
        self._condition.note_answer(opened.status, opened.headers, own_key=own_key)
        try:
            if isinstance(opened, UpstreamSocket):
                check_protocol(call.headers, opened.headers)
                return opened
            hide = self._hide if own_key else without_logins  # a caller's own key is no secret to them
            return await answer_for(opened, Expected(call.path, own_key=own_key, hide=hide))
        except BaseException:
            opened.close()
            raise


class TunnelExchange(Exchange):
    """What a view returns for a WebSocket. It counts as under way until it is open: one may be idle for hours."""

    def __init__(self, call: Call, sockets: Sockets, in_flight: InFlight) -> None:
        self.call = call
        self._sockets = sockets
        self._in_flight = in_flight

    def again(self) -> None:
        """Have each handshake decided for itself."""

    async def perform(  # type: ignore[override]  # only a server whose clients can switch is given one
        self,
        body: RequestBody,  # noqa: ARG002  a handshake has none
        client: SwitchingClient,
    ) -> None:
        """Serve the client; cancelled when it leaves before the socket is open, or when the program ends."""
        began = time.monotonic()
        with self._in_flight:
            opened = await or_our_error(self._sockets.open(self.call), self.call.request_id)
        try:
            if isinstance(opened, UpstreamSocket):
                await self._join(opened, client, began)
            else:
                failure = await relay(opened, client, Pulse(client))
                self._tell(began, opened.status, str(failure or ""), severity(opened.status, failure))
        finally:
            opened.close()

    async def _join(self, socket: UpstreamSocket, client: SwitchingClient, began: float) -> None:
        upstream = socket.take_over()
        tunnel = Tunnel(client.switch(handshake_answer(socket.headers)), upstream)
        self._tell(began, 101, "open")
        try:
            await tunnel.over()
        finally:
            up, down = tunnel.client.received_bytes, tunnel.upstream.received_bytes
            self._tell(began, 101, f"closed, {up} bytes up, {down} down")


def check_protocol(asked: Headers, answered: Headers) -> None:
    """Raise UpstreamProtocolFailure for a sub-protocol the client has not offered: it would not know it."""
    offered = next((listed(value) for name, value in asked if name == "sec-websocket-protocol"), [])
    for name, value in answered:
        if name == "sec-websocket-protocol" and value.strip() not in offered:
            raise UpstreamProtocolFailure("it chose a sub-protocol nobody offered")
