"""What happens to a request, in this order. Each stage stands in the file of its name.

A stage is an object that is called as `await stage(flow, request, next)` and returns an Answer. It may change the
request, call `next` once, several times (a retry, a repair, a round of tools) or not at all, and change the answer. It
raises ProxyError where there is none. Its `kinds` say which requests pass it; where the list names none, all do. Its
`is_on` says whether the settings need it.

The stages are composed once for each snapshot of the settings. A stage that has nothing to do for most requests offers
a short way past itself: see `Stage.entry` and `composition.py`.
"""

from typing import get_args

from proxy.exchange.budget import Budget
from proxy.exchange.choose import Choose
from proxy.exchange.composition import Pipeline
from proxy.exchange.decode import Decode
from proxy.exchange.drill import Drill
from proxy.exchange.models import Models
from proxy.exchange.repair import Repair
from proxy.exchange.request import Kind
from proxy.exchange.route import Route
from proxy.exchange.rules import Rules
from proxy.exchange.send import Send
from proxy.exchange.stage import Parts, Stage
from proxy.exchange.stream_usage import StreamUsage
from proxy.exchange.tools import Tools
from proxy.exchange.upload import Upload
from proxy.exchange.validate import Validate

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


def pipelines(parts: Parts) -> dict[Kind, Pipeline]:
    """Return the stages for each kind of request; one object of a stage serves all requests of its kind."""
    return {kind: Pipeline([stage(parts) for stage in STAGES if kind in stage.kinds]) for kind in get_args(Kind)}
