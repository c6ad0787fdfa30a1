"""Stage: choose the upstream and the model, and ask the next of a chain where one fails before its first byte."""

import logging
import time
from dataclasses import replace
from functools import partial

from proxy.errors.keyring import NoUpstreamKey
from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamFailure
from proxy.exchange.arriving import IN_MEMORY_BYTES, ArrivingBody
from proxy.exchange.composition import aimed
from proxy.exchange.first_content import first_content
from proxy.exchange.heavy import LARGE_BYTES, off_loop
from proxy.exchange.named_model import hold, may_name, named_model, with_model
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.flow.health import said_with, wait_s
from proxy.http.answer import Answer
from proxy.policy.endpoints import is_stateless
from proxy.policy.model_name import with_model as put_model
from proxy.policy.params import MODEL
from proxy.upstream.routing import Target

UPSTREAM_HEADER = "x-proxy-upstream"
SHORT_WAIT_S = 10.0  # a rate limit that is over so soon is waited for, not fled
STATEFUL = ("previous_response_id", "conversation")  # what they name lies with one upstream

log = logging.getLogger(__name__)


class Choose(Stage):
    """Find whom a request goes to, by its model, and say so in the answer where there is a choice."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        self._router = parts.router
        self._cooldown = parts.router.cooldown

    def entry(self, next: Next) -> Next:  # noqa: A002
        """Let requests pass where there is one upstream and no alias, unless they name it."""
        enter = super().entry(next)
        try:
            target = self._router.routing().only
        except ProxyError:  # nobody knows what the user has chosen; each request is told so
            target = None
        if target is None:
            return enter
        return partial(aimed, target=target, prefix=f"{target.upstream.name}/", enter=enter, next=next)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return the first good answer of the chain, else the first one's own; raises what `next` raises."""
        routing = self._router.routing()
        if request.target is not None:  # an earlier stage has chosen
            return await next(flow, request)
        model = request.fields.get(MODEL)
        if request.head.kind != "json" and (not routing.is_plain or may_name(request, routing.plain_prefix)):
            flow.model_asked = model = await named_model(request)
        targets = routing.targets(model if isinstance(model, str) else None, request.head.upstream)
        if len(targets) == 1 or flow.drill or not may_fall_back(request, model):
            if not is_aimed(flow, request, targets[0]):
                await aim(flow, request, targets[0])
            answer = await next(flow, request)
            if answer.status < 400 and self._cooldown.note_success(targets[0].upstream.name):
                log.info("%s: %s answers again", flow.id, targets[0].upstream.name)
        else:
            if isinstance(request.body, ArrivingBody):
                await hold(request, request.body, IN_MEMORY_BYTES)
            answer = await self._along(flow, request, targets, next)
        if not routing.is_plain and flow.upstream is not None:
            answer.headers = answer.headers.replaced(UPSTREAM_HEADER, flow.upstream)
        return answer

    async def _along(self, flow: Flow, request: Request, targets: tuple[Target, ...], next: Next) -> Answer:  # noqa: A002
        """Ask one after the other, past those that rest; where all rest or fail, the first one's answer counts."""
        first: Answer | ProxyError | None = None
        failed: Target | None = None
        told: tuple[str | None, str, str | None] = (None, "", None)  # of whom the first answer is
        for target in targets:
            name = target.upstream.name
            if not self._cooldown.is_ready(name):
                log.debug("%s goes past %s, which rests", flow.id, name)
                continue
            if failed is not None:
                flow.note_repair(f"fell back from {failed.upstream.name} to {name}")
            outcome, reason, lasts_s = await self._try(flow, request, target, next)
            if reason is None and isinstance(outcome, Answer):
                return outcome
            if first is None:
                first, told = outcome, (flow.upstream, flow.upstream_name, flow.model_sent)
            if reason is None:  # a failure that is not the upstream's
                break
            rest = self._cooldown.note_failure(name, reason, lasts_s)
            log.warning("%s: %s failed (%s) and rests for %.0f s", flow.id, name, reason, rest.lasts_s)
            failed = target
            if flow.tool_rounds or not request.is_repeatable:  # tools were run for it; or too much of it is sent
                break
        if first is None:
            await aim(flow, request, targets[0])
            return await next(flow, request)
        flow.upstream, flow.upstream_name, flow.model_sent = told
        if isinstance(first, ProxyError):
            raise first
        return first

    async def _try(
        self,
        flow: Flow,
        request: Request,
        target: Target,
        next: Next,  # noqa: A002
    ) -> tuple[Answer | ProxyError, str | None, float | None]:
        """Ask one; return its answer or failure, why the next is to be asked (None: it is not), and its own wait."""
        name = target.upstream.name
        try:
            asked = replace(request)  # what the stages make of it for one target is not for the next
            await aim(flow, asked, target)
            answer, tells_error = await first_content(await next(flow, asked))
        except UpstreamFailure as failure:
            return failure, str(failure), None
        except NoUpstreamKey as failure:
            return failure, "no key", None
        except ProxyError as failure:
            self._cooldown.note_undecided(name)
            return failure, None, None
        except BaseException:
            self._cooldown.note_undecided(name)
            raise
        reason, lasts_s = reason_to_leave(flow, answer, tells_error=tells_error)
        if reason is None:
            self._cooldown.note_success(name)
        else:
            answer.close()
        return answer, reason, lasts_s


def may_fall_back(request: Request, model: object) -> bool:
    """Tell whether another upstream may be asked: none that lacks its state, or would be shown a key of another's.

    A key that the caller brings is for whom the caller has named.
    """
    head = request.head
    if head.caller.upstream_key is not None:
        return False
    if head.kind == "relay":
        return isinstance(model, str) and head.method == "POST" and is_stateless(head.path)
    return head.kind == "json" and all(request.fields.get(name) in (None, "") for name in STATEFUL)


def reason_to_leave(flow: Flow, answer: Answer, *, tells_error: bool) -> tuple[str | None, float | None]:
    """Return why another upstream is to be asked after this answer, None where it stands; and its wait in seconds."""
    if answer.failure is not None:
        return str(answer.failure), None
    if tells_error:
        return "an error at the beginning of its stream", None
    if flow.upstream_status == 429:
        lasts_s = wait_s(answer.headers, time.time())
        return (f"rate limited for {lasts_s:.0f} s", lasts_s) if lasts_s > SHORT_WAIT_S else (None, None)
    if flow.upstream_status < 500:
        return None, None
    return said_with(flow.upstream_status, flow.upstream_words), None


async def aim(flow: Flow, request: Request, target: Target) -> None:
    """Have a request go to a target, with the model that goes there."""
    if is_aimed(flow, request, target) or target.model is None:
        return
    if request.head.kind != "json":
        if target.model != flow.model_asked:
            size = len(request.body) if isinstance(request.body, bytes) else 0
            request.body, request.length, query = await off_loop(size, with_model, request, target.model)
            request.head = replace(request.head, query=query)
        return
    assert isinstance(request.body, bytes)  # noqa: S101  what has a model in its body has been read
    take_body(request, await off_loop(len(request.body), put_model, request.body, request.fields, target.model), target)


def is_aimed(flow: Flow, request: Request, target: Target) -> bool:
    """Aim a request where that takes no time, as nearly always; False where there is more to do."""
    flow.upstream, request.target = target.upstream.name, target
    model, body = target.model, request.body
    if model is None:
        return True
    flow.model_sent = model
    if model == request.fields.get(MODEL):
        return True
    if request.head.kind != "json" or not isinstance(body, bytes) or len(body) > LARGE_BYTES:
        return False
    take_body(request, put_model(body, request.fields, model), target)
    return True


def take_body(request: Request, body: bytes, target: Target) -> None:
    """Send this body, in which the target's model stands."""
    request.body, request.length = body, len(body)
    request.fields = {**request.fields, MODEL: target.model}
