"""Stage: ask the upstream that was chosen, and ask it again where the SDK would: the one loop of retries."""

import asyncio
import logging

from proxy.errors.request import RequestRefused
from proxy.errors.upstream import UpstreamFailure, UpstreamStaleConnection
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer

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
        client, request.upstream_key = await self._router.connect(upstream, request.head.caller.upstream_key)
        request.upstream = client
        flow.upstream = client.name if upstream.is_unnamed else upstream.name
        tries = 0  # that were answered
        while True:
            flow.attempts += 1
            try:
                answer = await next(flow, request)
            except UpstreamFailure as failure:
                failure.detail = self._hide(failure.detail)
                is_stale = isinstance(failure, UpstreamStaleConnection) and not request.needs_new_connection
                if not is_stale or not request.is_repeatable:
                    raise refusal_behind(failure) or failure from failure
                log.debug("%s goes over a new connection: %s", flow.id, failure)
                flow.attempts -= 1  # nobody was asked
                request.needs_new_connection = True
                continue
            tries += 1
            request.needs_new_connection = False
            if flow.upstream_status < 400 or not client.may_retry(answer, flow.upstream_status):
                break
            pause_s = client.retry_pause_s(answer, tries) if request.is_repeatable else None
            if pause_s is None:
                if tries > 1 or client.is_quota_error(answer):  # an SDK in front would multiply our tries
                    answer.headers = answer.headers.replaced(*NO_RETRY)
                break
            answer.close()
            log.info("%s answered %d; try %d follows in %.1f s", flow.id, answer.status, tries + 1, pause_s)
            await asyncio.sleep(pause_s)
        flow.status = answer.status
        self._observers.answer(flow, answer.headers)
        return answer


def refusal_behind(failure: BaseException) -> RequestRefused | None:
    """Return what was wrong with a body that broke off on its way up, None where the upstream is to blame."""
    cause = failure.__cause__
    while cause is not None and not isinstance(cause, RequestRefused):
        cause = cause.__cause__
    return cause
