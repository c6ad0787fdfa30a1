"""Stage: send the request, and return the upstream's answer once its status is known."""

from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.upstream.messages import UpstreamRequest


class Send(Stage):
    """Send with the client the route has chosen, once."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        """Take nothing: it needs none of the parts."""

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002, ARG002  the last stage
        """Return the answer, or the open WebSocket; raises UpstreamFailure."""
        client = request.upstream
        assert client is not None  # noqa: S101  the route has chosen one
        sent = UpstreamRequest(
            request.head.method, request.head.path, request.head.query, request.headers, request.body, request.length
        )
        if request.head.kind == "websocket":
            return await client.open_websocket(sent, request.upstream_key)
        return await client.send(sent, request.upstream_key)
