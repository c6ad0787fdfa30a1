"""Ask the upstream for a call, and return what its client is given."""

from collections.abc import AsyncIterator, Callable

from proxy.errors.request import RequestRefused
from proxy.errors.upstream import UpstreamFailure
from proxy.exchange.answers import Expected, answer_for
from proxy.exchange.call import Call
from proxy.exchange.streams import StreamWish
from proxy.logs.redaction import without_logins
from proxy.settings.model import Settings
from proxy.stream.relay import Answer
from proxy.upstream.client import Upstream
from proxy.upstream.condition import UpstreamCondition
from proxy.upstream.messages import UpstreamRequest


class Asking:
    """What every kind of exchange needs to ask."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Callable[[], Settings],
        condition: UpstreamCondition,
        hide: Callable[[str], str],
    ) -> None:
        self.settings = settings
        self._upstream = upstream
        self._condition = condition
        self._hide = hide

    async def ask(
        self,
        call: Call,
        body: bytes | AsyncIterator[bytes] | None,
        length: int | None,
        *,
        wants_json: bool,
        wish: StreamWish | None = None,
    ) -> Answer:
        """Return the answer to pass on; raises ProxyError. `wants_json` and `wish` as in `Expected`."""
        request = UpstreamRequest(call.method, call.path, call.query, call.headers, body, length)
        own_key = call.caller.upstream_key is None
        try:
            answer = await self._upstream.ask(request, call.caller.upstream_key)
        except UpstreamFailure as failure:
            failure.detail = self._hide(failure.detail)
            refusal = refusal_behind(failure)
            if refusal is None:
                self._condition.note_failure(failure)
            raise refusal or failure from failure
        hide = self._hide if own_key else without_logins  # a caller's own key is no secret to them
        expected = Expected(call.path, call.method == "HEAD", wants_json, wish, own_key, hide)
        try:
            given = await answer_for(answer, expected)
        except BaseException:
            answer.close()
            raise
        self._condition.note_answer(given.status, answer.headers, own_key=own_key)
        return given


def refusal_behind(failure: BaseException) -> RequestRefused | None:
    """Return what was wrong with a body that broke off on its way up, None where the upstream is to blame."""
    cause = failure.__cause__
    while cause is not None and not isinstance(cause, RequestRefused):
        cause = cause.__cause__
    return cause
