"""Stage: refuse what a proxy key asks once one of its limits is reached. What runs already goes on to its end.

What runs counts by an estimate: otherwise requests that run at once would all be let in by the same rest.
"""

import asyncio
from urllib.parse import urlsplit

from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import BudgetReached
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow, Usage
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.upstream.routing import Target
from proxy.usage.limits import Limit, hard_limits
from proxy.usage.prices import cost_of
from proxy.usage.reservations import Reservation, estimate
from proxy.usage.spending import Spent

COSTS_NOTHING = ("GET", "HEAD", "DELETE")
ENDS_WORK = "/cancel"  # behind what an upstream works on
MAX_SETTLES = 5  # while other requests of the key keep ending
LOAD_LIMIT_S = 0.5  # at the very start: until then the ledger has told what was used before


class Budget(Stage):
    """Let a request pass while its key has something left."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        self._ledger = parts.ledger
        self._router = parts.router

    def is_on(self, settings: Settings) -> bool:
        """Tell whether any key has a limit."""
        return bool(settings.proxy_key_limits)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the request on; raises BudgetReached."""
        key = flow.key_name
        if key is not None and (limits := hard_limits(request.settings, key)) and may_cost(request):
            await self._check(flow, request, key, limits)
        return await next(flow, request)

    async def _check(self, flow: Flow, request: Request, key: str, limits: list[Limit]) -> None:
        ledger = self._ledger
        spending = ledger.spending
        if spending is None:
            return
        if not spending.is_loaded.is_set():
            ledger.begin()
            await asyncio.to_thread(spending.is_loaded.wait, LOAD_LIMIT_S)
            spending.is_loaded.set()  # where the file is held by others, what it tells is counted later
        await self._settle(key)
        reservation = await self._reservation(flow, request, spending.this_month(key), limits)
        await self._settle(key)
        # Nothing waits from here to the end: two requests must not be let in by the same rest.
        standing = spending.reached(key, request.settings)
        if standing is not None:
            raise BudgetReached(standing.sentence)
        if (refusing := ledger.reservations.refusing(key, spending.standings(limits))) is not None:
            standing, number = refusing
            raise BudgetReached(f"{standing.sentence}. The rest is reserved for {counted(number)} of it")
        if reservation is not None:
            ledger.reservations.add(key, reservation)

    async def _settle(self, key: str) -> None:
        """Have the key's finished requests counted."""
        for _ in range(MAX_SETTLES):
            if not self._ledger.is_unsettled(key):
                return
            await asyncio.to_thread(self._ledger.settle)

    async def _reservation(
        self, flow: Flow, request: Request, so_far: Spent, limits: list[Limit]
    ) -> Reservation | None:
        """Return what a request is expected to use; None of a WebSocket, which may be open for days."""
        if request.head.kind == "websocket":
            return None
        mean = Usage(0, so_far.tokens // max(so_far.requests, 1)), so_far.usd / max(so_far.requests, 1)
        if request.head.kind != "json":
            return Reservation(flow, *mean)
        usage, usd = estimate(flow, request.fields, request.length or 0, so_far), mean[1]
        if any(limit.unit == "usd" for limit in limits) and (target := self._target(flow, request)) is not None:
            host, prices = urlsplit(target.upstream.base_url).netloc, request.settings.proxy_prices
            cost = await asyncio.to_thread(cost_of, usage, target.model, host, prices)
            usd = usd if cost.usd is None else cost.usd
        return Reservation(flow, usage, usd)

    def _target(self, flow: Flow, request: Request) -> Target | None:
        """Return where the request goes first, None where a later stage will say that it goes nowhere."""
        try:
            return self._router.routing().targets(flow.model_asked, request.head.upstream)[0]
        except ProxyError:
            return None


def counted(number: int) -> str:
    """Return a number of running requests in words."""
    return "a running request" if number == 1 else f"{number} running requests"


def may_cost(request: Request) -> bool:
    """Tell whether a request may use tokens: lists, files and the end of an upstream's work cost nothing."""
    head = request.head
    return head.kind == "websocket" or not (head.method in COSTS_NOTHING or head.path.endswith(ENDS_WORK))
