"""Stage: have a demo upstream break the answer, where the user wants to see what a client makes of that."""

from proxy.exchange.choose import aim
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.upstream.routing import Target


class Drill(Stage):
    """Send a request to the demo upstream where its answer is to break."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._drills = parts.drills

    def is_on(self, settings: Settings) -> bool:  # noqa: ARG002  a stage's signature
        """Tell whether there was a drill since the start."""
        return self._drills.upstream is not None

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the request on."""
        upstream = self._drills.upstream
        if flow.drill is not None and upstream is not None:
            await aim(flow, request, Target(upstream, f"demo-{flow.drill}"))
        return await next(flow, request)
