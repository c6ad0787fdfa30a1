"""Requests that are only passed on: any method, any path, any body, as they came."""

from collections.abc import Callable

from proxy.errors import BodyTooLarge
from proxy.exchange.answers import answer_for
from proxy.exchange.call import Call, RequestBody
from proxy.settings.model import Settings
from proxy.stream.relay import Answer
from proxy.upstream.client import Upstream
from proxy.upstream.messages import UpstreamRequest

READ_AHEAD_BYTES = 1_048_576  # a body up to here is read first and can be sent again; a larger one is passed along


class Passthrough:
    """Pass a request on."""

    def __init__(self, upstream: Upstream, settings: Callable[[], Settings]) -> None:
        self._upstream = upstream
        self._settings = settings

    async def open(self, call: Call, body: RequestBody) -> Answer:
        """Return the answer to pass on; raises ProxyError."""
        limit = self._settings().max_body_bytes
        request = await self._request(call, body, limit)
        answer = await self._upstream.ask(request, call.caller.upstream_key)
        try:
            return await answer_for(answer, wants_json=False, own_key=call.caller.upstream_key is None)
        except BaseException:
            answer.close()
            raise

    async def _request(self, call: Call, body: RequestBody, limit_bytes: int) -> UpstreamRequest:
        if body.length is not None and body.length > limit_bytes:
            raise BodyTooLarge(f"{body.length} bytes")
        if body.length == 0:
            content = None
        elif body.length is not None and body.length <= READ_AHEAD_BYTES:
            content = await body.read(limit_bytes)
        else:
            pieces = body.pieces(limit_bytes)
            return UpstreamRequest(call.method, call.path, call.query, call.headers, pieces, body.length)
        length = None if content is None else len(content)
        return UpstreamRequest(call.method, call.path, call.query, call.headers, content, length)


class Models:
    """Pass on the list of models, asked for by the SDK's own call."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def open(self, call: Call, body: RequestBody) -> Answer:  # noqa: ARG002  an Opener takes both
        """Return the answer to pass on; raises ProxyError."""
        answer = await self._upstream.get(call.path, call.query, call.headers, call.caller.upstream_key)
        return await answer_for(answer, wants_json=True, own_key=call.caller.upstream_key is None)
