"""A WebSocket served: the client's own handshake goes up, and then every byte both ways as it came."""

from typing import Protocol

from proxy.errors.upstream import UpstreamFailure
from proxy.exchange.exchange import Exchange
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.policy.websocket import handshake_answer
from proxy.stream.keep_alive import KeepAlive
from proxy.stream.relay import Client
from proxy.stream.tunnel import RawConnection, Tunnel
from proxy.upstream.messages import UpstreamSocket


class SwitchingClient(Client, Protocol):
    """A client whose connection can leave HTTP."""

    def switch(self, headers: Headers) -> RawConnection:
        """Answer 101 and give the connection away."""


class TunnelExchange(Exchange):
    """What a view returns for a WebSocket; only a server whose clients can switch is given one."""

    async def _deliver(
        self, answer: Answer, client: SwitchingClient, keep_alive: KeepAlive, flow: Flow
    ) -> UpstreamFailure | None:
        """Join both sides until one of them ends. An open one is idle for hours and does not count as running."""
        if not isinstance(answer, UpstreamSocket):
            return await super()._deliver(answer, client, keep_alive, flow)
        upstream = answer.take_over()
        self.observers.rest(flow)
        flow.first_byte_s = flow.elapsed_s()
        tunnel = Tunnel(client.switch(handshake_answer(answer.headers)), upstream)
        try:
            await tunnel.over()
        finally:
            flow.bytes_up, flow.bytes_down = tunnel.client.received_bytes, tunnel.upstream.received_bytes
        return None
