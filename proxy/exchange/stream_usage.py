"""Stage: ask streamed chats for the tokens they use where the client did not, and take that out of the answer again.

Until an upstream was seen to take the option, whatever a request with it ends in before the first event is asked again
without it, once. What came of that is remembered for a day, by upstream and model.
"""

import logging
from dataclasses import replace
from functools import partial

from proxy.errors.upstream import UpstreamFailure, UpstreamProtocolFailure, UpstreamTimeout, UpstreamTruncated
from proxy.exchange.answers import CheckedAnswer
from proxy.exchange.composition import where_streamed
from proxy.exchange.decode import STREAM_OPTIONS
from proxy.exchange.heavy import off_loop, sent_fields
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.additions import rewrite_known
from proxy.policy.body import value_of
from proxy.settings.model import Settings
from proxy.stream.event_json import read_object
from proxy.upstream.facts import Habit

CHATS = "/chat/completions"
# The key, the money, the load: another try changes nothing.
NOT_OF_THE_OPTION = (401, 402, 403, 408, 409, 413, 429, 503)
BROKEN_OFF = (UpstreamProtocolFailure, UpstreamTruncated)

log = logging.getLogger(__name__)


class StreamUsage(Stage):
    """Add the option, where nobody else has decided about it."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._learned = parts.learned

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the user wants tokens counted."""
        return settings.openai_stream_usage

    def entry(self, next: Next) -> Next:  # noqa: A002
        """Let requests pass that ask for no stream."""
        return partial(where_streamed, enter=super().entry(next), next=next)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the request on with the option; raises what `next` raises."""
        stream, upstream, model = request.stream, request.upstream_address, flow.model_sent or ""
        if stream is None or request.head.path != CHATS or stream.asked_usage:
            return await next(flow, request)
        if self._learned.has(upstream, model, Habit.REFUSES_USAGE):
            return await next(flow, request)
        options = value_of(request.fields, STREAM_OPTIONS)
        is_settled = request.rules is not None and request.rules.touches(STREAM_OPTIONS, request.fields)
        if is_settled or not (options is None or isinstance(options, dict)):
            return await next(flow, request)
        assert isinstance(request.body, bytes)  # noqa: S101  an earlier stage has read it
        asked = {STREAM_OPTIONS: {**(options or {}), "include_usage": True}}
        is_current = not (flow.rules or flow.tool_rounds)
        fields = await sent_fields(request.body, request.fields, is_current=is_current)
        body = await off_loop(len(request.body), rewrite_known, request.body, asked, fields)
        counting = replace(request, body=body, length=len(body), stream=replace(stream, hides_usage=True))
        is_known = self._learned.has(upstream, model, Habit.TAKES_USAGE)
        answer, failure = await tried(flow, counting, next)
        if answer is not None and await is_taken(answer, is_known=is_known):
            if answer.status < 400 and answer.failure is None:
                self._learned.learn(upstream, model, Habit.TAKES_USAGE)
            return answer
        if failure is not None and (is_known or not isinstance(failure, BROKEN_OFF)):
            raise failure
        if answer is not None:
            answer.close()
        log.debug("%s is asked again without %s", flow.id, STREAM_OPTIONS)
        again = await next(flow, request)
        if again.status < 400 and (not isinstance(again, CheckedAnswer) or await again.begin()):
            self._learned.learn(upstream, model, Habit.REFUSES_USAGE)
            flow.note_repair(f"asked again without {STREAM_OPTIONS}")
        return again


async def tried(flow: Flow, request: Request, next: Next) -> tuple[Answer | None, UpstreamFailure | None]:  # noqa: A002
    """Return the answer, or why there is none."""
    try:
        return await next(flow, request), None
    except UpstreamFailure as failure:
        return None, failure


async def is_taken(answer: Answer, *, is_known: bool) -> bool:
    """Tell whether an answer may be the client's: it has begun well, or is bad for another reason than the option."""
    if answer.status < 400:
        if is_known or not isinstance(answer, CheckedAnswer):
            return True
        return await answer.begin() or isinstance(answer.failure, UpstreamTimeout)  # that wait was long enough
    if STREAM_OPTIONS.encode() in (answer.body or b""):
        return False
    return is_known or answer.status in NOT_OF_THE_OPTION or blames_another(answer.body or b"")


def blames_another(body: bytes) -> bool:
    """Tell whether a refusal names the parameter that it is about."""
    error = (read_object(body) or {}).get("error")
    param = error.get("param") if isinstance(error, dict) else None
    return isinstance(param, str) and bool(param)
