"""Stage: send the request, and return the upstream's answer once its status is known."""

from typing import TYPE_CHECKING

from proxy.errors.proxy_error import ProxyError
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.upstream.messages import UpstreamRequest

if TYPE_CHECKING:
    from proxy.upstream.client import UpstreamClient  # which brings the SDK


class Send(Stage):
    """Send with the client the route has chosen, once."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        """Take nothing: it needs none of the parts."""

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002, ARG002  the last stage
        """Return the answer, or the open WebSocket; raises UpstreamFailure."""
        client = request.upstream
        assert client is not None  # noqa: S101  the route has chosen one
        head, recorder = request.head, flow.recorder
        known = head.method, head.path, head.query, request.headers, request.body, request.length
        if recorder is None:
            return await self._send(request, client, UpstreamRequest(*known))
        url = client.options.base_url + head.path + (f"?{head.query}" if head.query else "")
        attempt = recorder.sent(client.name, url, head.method, request.headers, request.body)
        try:
            answer = await self._send(request, client, UpstreamRequest(*known, attempt.note_headers))
        except ProxyError as failure:
            attempt.failure = failure.title
            raise
        attempt.status, attempt.answer_headers, attempt.answered_at_s = answer.status, answer.headers, flow.elapsed_s()
        return answer

    async def _send(self, request: Request, client: "UpstreamClient", sent: UpstreamRequest) -> Answer:
        if request.head.kind == "websocket":
            return await client.open_websocket(sent, request.upstream_key)
        return await client.send(sent, request.upstream_key)
