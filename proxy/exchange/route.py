"""Stage: ask the upstream that was chosen, and ask it again where the SDK would: the one loop of retries."""

import asyncio
import logging

from proxy.errors.upstream import UpstreamFailure
from proxy.exchange.refusal_words import read_words
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.upstream.options import own_names
from proxy.upstream.retry import backoff_s, is_quota_error, may_retry, retry_pause_s

MAX_WORDS = 300  # characters of what is shown of a failure
NO_RETRY = ("x-should-retry", "false")

log = logging.getLogger(__name__)


class Route(Stage):
    """Send with the upstream's client and key."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        self._router = parts.router
        self._observers = parts.observers
        self._hide = parts.hide

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return the answer no further try is due after; raises UpstreamFailure, NoUpstreamKey, SettingsBroken."""
        assert request.target is not None  # noqa: S101  the stage before has chosen one
        upstream = request.target.upstream
        flow.upstream_name = upstream.name
        callers_key, client = request.head.caller.upstream_key, self._router.ready.get(upstream.name)
        held = self._router.held_keys.get(upstream.name)
        if (
            callers_key is None
            and (client is not None and client.upstream is upstream)
            and (held is not None and held.upstream is upstream and held.source.version is held.version)
        ):
            request.upstream_key = held.key  # as for the request before
        else:
            try:
                client, request.upstream_key = await self._router.connect(upstream, callers_key)
            except UpstreamFailure as failure:
                failure.name_settings(own_names(upstream))
                raise
        request.upstream = client
        flow.upstream_host = client.name
        flow.upstream = client.label
        tries = 0
        while True:
            flow.attempts += 1
            tries += 1
            try:
                answer = await next(flow, request)
            except UpstreamFailure as failure:
                failure.detail = self._hide(failure.detail)
                failure.name_settings(own_names(upstream))
                if not failure.is_worth_retry or not request.is_repeatable or tries > client.options.max_retries:
                    if tries > 1:
                        failure.should_retry = False  # an SDK in front would multiply our tries
                    raise
                pause_s: float | None = backoff_s(tries)
                log.info("%s: %s; try %d follows in %.1f s", flow.id, failure.title, tries + 1, pause_s)
            else:
                if flow.upstream_status < 400 or not may_retry(flow.upstream_status, answer.headers):
                    break
                pause_s = retry_pause_s(answer, tries, client.options.max_retries) if request.is_repeatable else None
                if pause_s is None:
                    if tries > 1 or is_quota_error(answer):  # as above
                        answer.headers = answer.headers.replaced(*NO_RETRY)
                    break
                answer.close()
                log.info("%s answered %d; try %d follows in %.1f s", flow.id, answer.status, tries + 1, pause_s)
            await asyncio.sleep(pause_s or 0)
        flow.status = answer.status
        flow.upstream_words = self._hide(words_of(answer)) if flow.upstream_status >= 400 else ""
        self._observers.answer(flow, answer.headers)
        return answer


def words_of(answer: Answer) -> str:
    """Return what a refusal says for people, "" where it says nothing they could read."""
    body = answer.body
    return " ".join(read_words(body).message.split())[:MAX_WORDS] if body else ""
