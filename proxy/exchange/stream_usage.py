"""Stage: ask streamed chats for the tokens they use where the client did not, and take that out of the answer again.

An upstream that does not know the option is asked again without it, once, and from then on never with it.
"""

import logging
from dataclasses import replace

from proxy.exchange.decode import STREAM_OPTIONS
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.body import rewrite, value_of
from proxy.settings.model import Settings

CHATS = "/chat/completions"
REFUSED = (400, 422)

log = logging.getLogger(__name__)


class StreamUsage(Stage):
    """Add the option, where nobody else has decided about it."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:  # noqa: ARG002  it needs none
        self._refusing: set[str] = set()  # the base URLs of the upstreams that do not know the option

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the user wants tokens counted."""
        return settings.openai_stream_usage

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the request on with the option; raises what `next` raises."""
        stream, upstream = request.stream, request.settings.openai_base_url
        if stream is None or request.head.path != CHATS or stream.asked_usage or upstream in self._refusing:
            return await next(flow, request)
        options = value_of(request.fields, STREAM_OPTIONS)
        is_settled = request.rules is not None and request.rules.touches(STREAM_OPTIONS, request.fields)
        if is_settled or not (options is None or isinstance(options, dict)):
            return await next(flow, request)
        assert isinstance(request.body, bytes)  # noqa: S101  an earlier stage has read it
        body = rewrite(request.body, {STREAM_OPTIONS: {**(options or {}), "include_usage": True}})
        counting = replace(request, body=body, length=len(body), stream=replace(stream, hides_usage=True))
        answer = await next(flow, counting)
        if answer.status not in REFUSED or STREAM_OPTIONS.encode() not in (answer.body or b""):
            return answer
        log.info("the upstream refuses %s; it is not asked for usage again", STREAM_OPTIONS)
        self._refusing.add(upstream)
        answer.close()
        flow.note_repair(f"asked again without {STREAM_OPTIONS}")
        return await next(flow, request)
