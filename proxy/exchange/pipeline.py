"""What happens to a request, in this order. Each stage stands in the file of its name.

A stage is an object that is called as `await stage(flow, request, next)` and returns an Answer. It may change the
request, call `next` once, several times (a retry, a repair, a round of tools) or not at all, and change the answer. It
raises ProxyError where there is none. Its `kinds` say which requests pass it; where the list names none, all do. Its
`is_on` says whether the settings need it.

The stages are composed once for each snapshot of the settings. What then is decided for all requests, or has nothing to
do for most of them, is gone past without a call: see `entry`.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from proxy.exchange.budget import Budget
from proxy.exchange.choose import Choose
from proxy.exchange.decode import Decode
from proxy.exchange.drill import Drill
from proxy.exchange.models import Models
from proxy.exchange.named_model import may_name
from proxy.exchange.repair import REFUSALS, Repair
from proxy.exchange.request import Kind, Request
from proxy.exchange.route import Route
from proxy.exchange.rules import Rules
from proxy.exchange.send import Send
from proxy.exchange.stage import Next, Parts, Stage
from proxy.exchange.stream_usage import StreamUsage
from proxy.exchange.tools import Tools
from proxy.exchange.upload import Upload
from proxy.exchange.validate import Validate
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.upstream.routing import Target

# `Tools` and `StreamUsage` stand before `Route`, because they call `next` again: each round of tools and each repair is
# routed and retried like a request of its own.
STAGES: tuple[type[Stage], ...] = (
    Decode,  # json: read the body, undo its encoding, read the JSON object
    Upload,  # relay: read a small body, pass a large one along as it arrives
    Budget,  # refuse what a proxy key asks beyond its limit
    Models,  # relay: list the models of all upstreams, where there are several
    Choose,  # choose upstream and model; ask the next of a chain where one fails before its first byte
    Rules,  # json: apply the user's parameter defaults, overrides and drops
    Tools,  # json: offer our tools, run what the model calls, ask again with the results
    Repair,  # json: ask once more without a parameter that the model refuses, and remember that
    StreamUsage,  # json: ask streams for the tokens they use, hide that from the client, repair a refusal of it
    Drill,  # json: have a demo upstream break the answer, where the user wants to see that; out before the first drill
    Route,  # take the upstream's client and key; ask again where that is worth it: the one loop of retries
    Validate,  # turn the upstream's answer into the client's, repair what can be, else raise an error of ours
    Send,  # send, and return the upstream's answer once its status is known
)


class Pipeline:
    """The stages for one kind of request, composed. Lives on the event loop."""

    def __init__(self, kind: Kind, parts: Parts) -> None:
        self._stages = [stage(parts) for stage in STAGES if kind in stage.kinds]
        self._settings: Settings | None = None
        self._first: Callable[[Flow, Request], Awaitable[Answer]] | None = None

    def recompose(self) -> None:
        """Ask each stage anew whether it is needed, from the next request on; any thread."""
        self._settings = None

    def open(self, flow: Flow, request: Request) -> Awaitable[Answer]:
        """Return the answer to pass on; raises ProxyError."""
        if self._first is None or self._settings is not request.settings:
            self._settings = request.settings
            self._first = compose([stage for stage in self._stages if stage.is_on(request.settings)])
        return self._first(flow, request)


def compose(stages: list[Stage]) -> Next:
    """Return what begins with the first stage; each is given what begins with the one after it as `next`."""
    following: Next = no_stage
    for stage in reversed(stages):
        following = entry(stage, following)
    return following


def entry(stage: Stage, following: Next) -> Next:
    """Return what enters a stage where it has something to do for a request, and goes past it elsewhere."""
    enter: Next = partial(stage, next=following)
    if isinstance(stage, Choose) and (target := stage.only_target()) is not None:
        return partial(aimed, target=target, prefix=f"{target.upstream.name}/", choose=enter, next=following)
    if isinstance(stage, Repair):
        return partial(unless_refused, repair=stage, next=following)
    if isinstance(stage, StreamUsage):
        return partial(where_streamed, enter=enter, next=following)
    return enter


def aimed(
    flow: Flow,
    request: Request,
    *,
    target: Target,
    prefix: str,
    choose: Next,
    next: Next,  # noqa: A002
) -> Awaitable[Answer]:
    """Go to the only upstream there is, unless its name stands before the model's, or a header names one."""
    head = request.head
    if head.upstream is not None or (flow.model_asked is not None and flow.model_asked.startswith(prefix)):
        return choose(flow, request)
    if head.kind != "json" and may_name(request, prefix):
        return choose(flow, request)
    flow.upstream, request.target = target.upstream.name, target
    return next(flow, request)


async def unless_refused(flow: Flow, request: Request, *, repair: Repair, next: Next) -> Answer:  # noqa: A002
    """Enter the stage where models are known that need it, else once the upstream has refused a request."""
    if repair.learned.may_hold_some:
        return await repair(flow, request, next)
    answer = await next(flow, request)
    return await repair.mend(flow, request, answer, next) if flow.upstream_status in REFUSALS else answer


def where_streamed(flow: Flow, request: Request, *, enter: Next, next: Next) -> Awaitable[Answer]:  # noqa: A002
    """Enter the stage where the client has asked for a stream."""
    return (enter if request.stream is not None else next)(flow, request)


async def no_stage(flow: Flow, request: Request) -> Answer:  # noqa: ARG001  a stage's signature
    """Stand behind the last stage, which never calls it."""
    raise AssertionError("the last stage sends")
