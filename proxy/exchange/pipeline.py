"""What happens to a request, in this order. Each stage stands in the file of its name.

A stage is an object that is called as `await stage(flow, request, next)` and returns an Answer. It may change the
request, call `next` once, several times (a retry, a repair, a round of tools) or not at all, and change the answer. It
raises ProxyError where there is none. Its `kinds` say which requests pass it; where the list names none, all do. Its
`is_on` says whether the settings need it.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from proxy.exchange.choose import Choose
from proxy.exchange.decode import Decode
from proxy.exchange.models import Models
from proxy.exchange.repair import Repair
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

# `Tools` and `StreamUsage` stand before `Route`, because they call `next` again: each round of tools and each repair is
# routed and retried like a request of its own.
STAGES: tuple[type[Stage], ...] = (
    Decode,  # json: read the body, undo its encoding, read the JSON object
    Upload,  # relay: read a small body, pass a large one along as it arrives
    Models,  # relay: list the models of all upstreams, where there are several
    Choose,  # choose upstream and model; ask the next of a chain where one fails before its first byte
    Rules,  # json: apply the user's parameter defaults, overrides and drops
    Tools,  # json: offer our tools, run what the model calls, ask again with the results
    Repair,  # json: ask once more without a parameter that the model refuses, and remember that
    StreamUsage,  # json: ask streams for the tokens they use, hide that from the client, repair a refusal of it
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
        following = partial(stage, next=following)
    return following


async def no_stage(flow: Flow, request: Request) -> Answer:  # noqa: ARG001  a stage's signature
    """Stand behind the last stage, which never calls it."""
    raise AssertionError("the last stage sends")
