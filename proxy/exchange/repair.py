"""Stage: ask once more without a parameter that an upstream refuses and a request can do without; remember that."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

from proxy.exchange.composition import unless_refused
from proxy.exchange.heavy import off_loop, sent_fields
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.body import REMOVED, rewrite
from proxy.policy.refused_parameters import Repair as Change
from proxy.policy.refused_parameters import repair_for
from proxy.settings.model import Settings

REFUSALS = (400, 422)

log = logging.getLogger(__name__)


class Repair(Stage):
    """Apply what is known of the model, and learn from its refusals."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:
        self._learned = parts.learned

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the user wants it."""
        return settings.proxy_repair_parameters

    def entry(self, next: Next) -> Next:  # noqa: A002
        """Let requests pass until a model has refused a parameter."""
        enter = super().entry(next)
        return partial(unless_refused, learned=self._learned, refusals=REFUSALS, enter=enter, mend=self.mend, next=next)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return the answer, the first refusal where the second try is refused too; raises what `next` raises."""
        if known := self._learned.repairs_of(*place_of(flow, request)):
            request = await self._changed(flow, request, known)
        answer = await next(flow, request)
        return await self.mend(flow, request, answer, next) if flow.upstream_status in REFUSALS else answer

    async def mend(self, flow: Flow, request: Request, answer: Answer, next: Next) -> Answer:  # noqa: A002
        """Ask once more after this refusal, where that may mend it; raises what `next` raises."""
        if answer.body is None:
            return answer
        place = place_of(flow, request)
        fields = await fields_of(flow, request)
        change = repair_for(answer.body, fields)
        if change is None:
            return answer
        first_status = flow.upstream_status
        log.info(
            "%s: %s of %s refuses %s; it is asked once more: %s", flow.id, place[1], place[0], change.parameter, change
        )
        again = await next(flow, await with_changes(request, fields, [change]))
        if flow.upstream_status < 400:
            flow.note_repair(str(change))
            self._learned.learn(*place, change)
            return again
        second = repair_for(again.body, fields) if flow.upstream_status in REFUSALS else None
        if second is not None and second.parameter != change.parameter:  # the first one was mended: next time both are
            self._learned.learn(*place, change)
        again.close()
        flow.upstream_status = first_status
        flow.status = answer.status
        return answer

    async def _changed(self, flow: Flow, request: Request, known: list[Change]) -> Request:
        fields = await fields_of(flow, request)
        changes = [change for change in known if change.parameter in fields]
        for change in changes:
            flow.note_repair(str(change))
        return await with_changes(request, fields, changes) if changes else request


def place_of(flow: Flow, request: Request) -> tuple[str, str]:
    """Return the upstream and the model that a request goes to."""
    assert request.target is not None  # noqa: S101  a stage before has chosen it
    return request.target.upstream.name, flow.model_sent or ""


async def fields_of(flow: Flow, request: Request) -> dict[str, Any]:
    """Return what is in the body that goes upstream; rules and tools have changed it since it was read."""
    assert isinstance(request.body, bytes)  # noqa: S101  a stage before has read it
    return await sent_fields(request.body, request.fields, is_current=not (flow.rules or flow.tool_rounds))


async def with_changes(request: Request, fields: dict[str, Any], changes: list[Change]) -> Request:
    """Return the request with parameters dropped or renamed."""
    assert isinstance(request.body, bytes)  # noqa: S101  as above
    members: dict[str, Any] = {}
    for change in changes:
        members[change.parameter] = REMOVED
        if change.new_name is not None and change.new_name not in fields:
            members[change.new_name] = fields[change.parameter]
    body = await off_loop(len(request.body), rewrite, request.body, members)
    kept = {name: value for name, value in {**request.fields, **members}.items() if value is not REMOVED}
    return replace(request, body=body, length=len(body), fields=kept)
