"""Stage: read the body, undo its encoding, and read the JSON object in it."""

import asyncio
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.exchange.dialects import error_event_for
from proxy.exchange.encodings import decoded
from proxy.exchange.heavy import LARGE_BYTES, gate, off_loop
from proxy.exchange.request import Request, StreamOptions
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.body import outline, read_object, value_of
from proxy.settings.parsing import fold_name

STREAM_OPTIONS = "stream_options"
NEEDED_WHOLE = frozenset({fold_name(STREAM_OPTIONS), "model"})


class Decode(Stage):
    """Fill in body, fields and stream options."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._keep_alive_s = parts.keep_alive_s

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass it on; raises BodyTooLarge, MalformedRequest, EncodingUnsupported, InvalidJson."""
        limit_bytes = request.settings.max_body_bytes
        whole = request.incoming.whole
        body = whole if whole is not None and len(whole) <= limit_bytes else await request.incoming.read(limit_bytes)
        flow.bytes_up = len(body)
        if flow.recorder is not None and not request.head.encoding:
            flow.recorder.body_came(body)
        if request.head.encoding:
            async with gate():  # a few bytes may unfold into the largest body that is allowed
                body, request.fields = await unfolded(request.head.encoding, body, limit_bytes)
            request.headers = request.headers.without("content-encoding")
            if flow.recorder is not None:
                flow.recorder.body_came(body)
        else:
            is_large = len(body) > LARGE_BYTES
            request.fields = await off_loop(len(body), read_fields, body) if is_large else read_object(body)
        fields = request.fields
        request.is_outline = len(body) > LARGE_BYTES
        request.body, request.length = body, len(body)
        model = fields.get("model")
        flow.model_asked = flow.model_sent = model if isinstance(model, str) else None
        if fields.get("stream") is True:
            options = value_of(fields, STREAM_OPTIONS)
            asked_usage = isinstance(options, dict) and options.get("include_usage") is True
            request.stream = StreamOptions(asked_usage=asked_usage)
            if error_event := error_event_for(request.head.path):
                request.keep_alive.expect(self._keep_alive_s, error_event)
        return await next(flow, request)


async def unfolded(named: str, body: bytes, limit_bytes: int) -> tuple[bytes, dict[str, Any]]:
    """Return a body without its encodings, and what was read of it; an error of it holds none of it in memory."""
    try:
        body = await decoded(named, body, limit_bytes)
        return body, await asyncio.to_thread(read_fields, body)
    except ProxyError as error:
        body = b""
        raise error.with_traceback(None) from None


def read_fields(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object, and of a large one what the stages need of it; raises InvalidJson, BodyTooLarge."""
    fields = read_object(body)
    return outline(fields, NEEDED_WHOLE) if len(body) > LARGE_BYTES else fields
