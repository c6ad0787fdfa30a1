"""Stage: apply the user's parameter rules to the body."""

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

from proxy.errors.request import ModelInAddress
from proxy.exchange.heavy import off_loop
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.policy.body import Mark, outline, read_object, rewrite
from proxy.policy.endpoints import names_model
from proxy.policy.nested import by_path
from proxy.policy.params import MODEL, ParameterRules, requested_model
from proxy.settings.model import Settings
from proxy.upstream.routing import Routing

JSON_TYPE = re.compile(r"\s*application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?\s*", re.IGNORECASE)

log = logging.getLogger(__name__)


class Rules(Stage):
    """Change the body as the defaults, overrides and drops of the settings say."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:  # noqa: ARG002  it needs none
        self._rules: dict[str, ParameterRules] = {}  # by upstream
        self._settings: Settings | None = None

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the settings have any rules."""
        return bool(settings.openai_param_defaults or settings.openai_param_drop or settings.openai_param_overrides)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the changed body on; raises ModelInAddress."""
        assert request.target is not None  # noqa: S101  a stage before has chosen it
        request.rules = rules = self._rules_of(request.settings, request.target.upstream.name)
        if rules.look_at_the_model and names_model(request.head.path, request.head.query):
            raise ModelInAddress
        assert isinstance(request.body, bytes)  # noqa: S101  the stage before has read it
        request.headers = as_json(request.headers)
        body = request.body
        fields = request.fields
        if request.is_outline and rules.reached_within:
            fields = await off_loop(len(body), read_within, body, rules.reached_within)
        body, changes = await off_loop(len(body), rules.apply, body, fields)
        if changes:
            flow.rules = tuple(name for name, _ in by_path(changes))
            model = changes.get(MODEL)
            flow.model_sent = model if isinstance(model, str) else flow.model_sent
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s rules: %s", flow.id, in_words(changes))
        request.body, request.length = body, len(body)
        return await next(flow, request)

    def _rules_of(self, settings: Settings, upstream: str) -> ParameterRules:
        if self._settings is not settings:
            self._rules, self._settings = {}, settings
        rules = self._rules.get(upstream)
        if rules is None:
            rules = self._rules[upstream] = rules_for(settings, upstream)
        return rules


def rules_for(settings: Settings, upstream: str) -> ParameterRules:
    """Return the rules of the settings as they hold for requests to an upstream."""
    defaults, drop, overrides = (
        settings.openai_param_defaults,
        settings.openai_param_drop,
        settings.openai_param_overrides,
    )
    names = [each.name for each in settings.upstreams]
    return ParameterRules.of(defaults, drop, overrides).for_upstream(upstream, names)


def preview(settings: Settings, body: bytes, fields: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """Return a body as it would be sent to the upstream that its model goes to, and the changes this takes."""
    asked = requested_model(fields)
    target = Routing(settings).targets(asked if isinstance(asked, str) else None)[0]
    routed: dict[str, Any] = {MODEL: target.model} if target.model not in (None, asked) else {}
    if routed:
        body = rewrite(body, routed)
    rules = rules_for(settings, target.upstream.name)
    sent, changes = rules.apply(body, {**fields, **routed})
    return sent, {**routed, **dict(by_path(changes))}


def read_within(body: bytes, whole: Collection[str]) -> dict[str, Any]:
    """Return the outline of a large body, with some parameters whole; it was read before."""
    return outline(read_object(body), {*whole, MODEL})


def in_words(changes: Mapping[str, Any]) -> str:
    """Say what the rules have changed."""
    return ", ".join(
        f"{name} {value.value if isinstance(value, Mark) else f'= {value!r}'}" for name, value in by_path(changes)
    )


def as_json(headers: Headers) -> Headers:
    """Return headers that say what the body was read as.

    Told another type or charset, an upstream could read other members in it: those of a form, or of UTF-7.
    """
    kinds = [value for name, value in headers if name == "content-type"]
    if all(JSON_TYPE.fullmatch(kind) for kind in kinds):
        return headers
    return headers.replaced("content-type", "application/json")
