"""Stage: refuse what a proxy key asks once one of its limits is reached. What runs already goes on to its end."""

import asyncio

from proxy.errors.request import BudgetReached
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.usage.limits import hard_limits

COSTS_NOTHING = ("GET", "HEAD", "DELETE")
ENDS_WORK = "/cancel"  # behind what an upstream works on
LOAD_LIMIT_S = 0.5  # at the very start: until then the ledger has told what was used before


class Budget(Stage):
    """Let a request pass while its key has something left."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        self._ledger = parts.ledger

    def is_on(self, settings: Settings) -> bool:
        """Tell whether any key has a limit."""
        return bool(settings.proxy_key_limits)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the request on; raises BudgetReached."""
        if hard_limits(request.settings, flow.key_name) and may_cost(request):
            await self._check(flow, request)
        return await next(flow, request)

    async def _check(self, flow: Flow, request: Request) -> None:
        ledger = self._ledger
        spending = ledger.spending
        if spending is None:
            return
        if not spending.is_loaded.is_set():
            ledger.begin()
            await asyncio.to_thread(spending.is_loaded.wait, LOAD_LIMIT_S)
            spending.is_loaded.set()  # where the file is held by others, what it tells is counted later
        if ledger.is_unsettled(flow.key_name):
            await asyncio.to_thread(ledger.settle)
        standing = spending.reached(flow.key_name, request.settings)
        if standing is not None:
            raise BudgetReached(standing.sentence)


def may_cost(request: Request) -> bool:
    """Tell whether a request may use tokens: lists, files and the end of an upstream's work cost nothing."""
    head = request.head
    return head.kind == "websocket" or not (head.method in COSTS_NOTHING or head.path.endswith(ENDS_WORK))
