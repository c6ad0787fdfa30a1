"""How stages are composed, and the short ways past those that have nothing to do for most requests.

A stage whose `entry` is a short way is entered only where it is needed. What is called for every request stands in this
one file, and runs on the event loop.
"""

from collections.abc import Awaitable, Callable, Sequence

from proxy.exchange.named_model import may_name
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.upstream.learned import LearnedFacts
from proxy.upstream.routing import Target


class Pipeline:
    """The stages for one kind of request, composed once for each snapshot of the settings."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._settings: Settings | None = None
        self._first: Next | None = None

    def recompose(self) -> None:
        """Ask each stage anew whether it is needed, from the next request on; any thread."""
        self._settings = None

    def open(self, flow: Flow, request: Request) -> Awaitable[Answer]:
        """Return the answer to pass on; raises ProxyError."""
        if self._first is None or self._settings is not request.settings:
            self._settings = request.settings
            self._first = compose([stage for stage in self._stages if stage.is_on(request.settings)])
        return self._first(flow, request)


def compose(stages: Sequence[Stage]) -> Next:
    """Return what begins with the first stage; each is given what begins with the one after it as `next`."""
    following: Next = no_stage
    for stage in reversed(stages):
        following = stage.entry(following)
    return following


async def no_stage(flow: Flow, request: Request) -> Answer:  # noqa: ARG001  a stage's signature
    """Stand behind the last stage, which never calls it."""
    raise AssertionError("the last stage sends")


def aimed(
    flow: Flow,
    request: Request,
    *,
    target: Target,
    prefix: str,
    enter: Next,
    next: Next,  # noqa: A002
) -> Awaitable[Answer]:
    """Go to the only upstream there is, unless its name stands before the model's, or a header names one."""
    head = request.head
    if head.upstream is not None or (flow.model_asked is not None and flow.model_asked.startswith(prefix)):
        return enter(flow, request)
    if head.kind != "json" and may_name(request, prefix):
        return enter(flow, request)
    flow.upstream, request.target = target.upstream.name, target
    return next(flow, request)


async def unless_refused(
    flow: Flow,
    request: Request,
    *,
    learned: LearnedFacts,
    refusals: Sequence[int],  # the statuses after which `mend` is called
    enter: Next,
    mend: Callable[[Flow, Request, Answer, Next], Awaitable[Answer]],
    next: Next,  # noqa: A002
) -> Answer:
    """Enter the stage where models are known that need it, else have it mend what the upstream has refused."""
    if learned.may_hold_repairs:
        return await enter(flow, request)
    answer = await next(flow, request)
    return await mend(flow, request, answer, next) if flow.upstream_status in refusals else answer


def where_streamed(flow: Flow, request: Request, *, enter: Next, next: Next) -> Awaitable[Answer]:  # noqa: A002
    """Enter the stage where the client has asked for a stream."""
    return (enter if request.stream is not None else next)(flow, request)
