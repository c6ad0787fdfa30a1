"""Stage: read the body, undo its encoding, and read the JSON object in it."""

from proxy.exchange.dialects import error_event_for
from proxy.exchange.encodings import decoded
from proxy.exchange.request import Request, StreamOptions
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.body import read_object, value_of

STREAM_OPTIONS = "stream_options"


class Decode(Stage):
    """Fill in body, fields and stream options."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._keep_alive_s = parts.keep_alive_s

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass it on; raises BodyTooLarge, MalformedRequest, EncodingUnsupported, InvalidJson."""
        limit_bytes = request.settings.max_body_bytes
        body = await request.incoming.read(limit_bytes)
        flow.bytes_up = len(body)
        if request.head.encoding:
            body = await decoded(request.head.encoding, body, limit_bytes)
            request.headers = request.headers.without("content-encoding")
        request.fields = fields = read_object(body)
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
