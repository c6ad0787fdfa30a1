"""What every stage of the pipeline is, and what they are made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol

from proxy.exchange.drills import Drills
from proxy.exchange.request import Kind, Request
from proxy.flow.flow import Flow
from proxy.flow.observers import Observers
from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.tools.execution import ToolExecution
from proxy.upstream.learned import LearnedFacts
from proxy.upstream.router import UpstreamRouter
from proxy.usage.ledger import Ledger

Next = Callable[[Flow, Request], Awaitable[Answer]]

KEEP_ALIVE_S = 15.0  # editors give a silent connection up after minutes, some gateways after half of one


@dataclass(frozen=True)
class Parts:
    """What the stages work with; each takes what it needs."""

    router: UpstreamRouter
    tools: ToolExecution
    observers: Observers
    hide: Callable[[str], str]  # takes the keys out of a text
    learned: LearnedFacts  # what upstreams were seen to do and to refuse
    ledger: Ledger  # what was used
    drills: Drills  # whose next answers are to break
    keep_alive_s: float = KEEP_ALIVE_S
    note_end: Callable[[Flow], None] = lambda _: None  # of a request of ours beside the client's, for the health
    key_hint: Callable[[], str] = str  # what to do about a key that was refused, beside entering another


class Stage(Protocol):
    """One step of a request's way; one object serves all requests."""

    kinds: ClassVar[frozenset[Kind]]  # of requests that pass it

    def __init__(self, parts: Parts) -> None: ...

    def is_on(self, settings: Settings) -> bool:  # noqa: ARG002  for those that can be off
        """Tell whether it does anything under these settings."""
        return True

    def entry(self, next: Next) -> Next:  # noqa: A002  as in `__call__`
        """Return what is called for each request: the stage, or a short way past it where it has nothing to do."""
        return partial(self, next=next)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002  as ASGI and WSGI frameworks call it
        """Pass the request on, and the answer back; raises ProxyError."""
