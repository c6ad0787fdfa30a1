"""Stage: apply the user's parameter rules to the body."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from proxy.errors.request import ModelInAddress
from proxy.exchange.heavy import off_loop
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.policy.body import Mark
from proxy.policy.endpoints import names_model
from proxy.policy.params import MODEL, ParameterRules
from proxy.settings.model import Settings

JSON_TYPE = re.compile(r"\s*application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?\s*", re.IGNORECASE)

log = logging.getLogger(__name__)


class Rules(Stage):
    """Change the body as the defaults, overrides and drops of the settings say."""

    kinds = frozenset({"json"})

    def __init__(self, parts: Parts) -> None:  # noqa: ARG002  it needs none
        self._rules = ParameterRules()
        self._settings: Settings | None = None

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the settings have any rules."""
        return bool(settings.openai_param_defaults or settings.openai_param_drop or settings.openai_param_overrides)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass the changed body on; raises ModelInAddress."""
        request.rules = rules = self._rules_of(request.settings)
        if rules.look_at_the_model and names_model(request.head.path, request.head.query):
            raise ModelInAddress
        assert isinstance(request.body, bytes)  # noqa: S101  the stage before has read it
        request.headers = as_json(request.headers)
        body = request.body
        body, changes = await off_loop(len(body), rules.apply, body, request.fields)
        if changes:
            flow.rules = tuple(changes)
            model = changes.get(MODEL)
            flow.model_sent = model if isinstance(model, str) else flow.model_sent
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s rules: %s", flow.id, in_words(changes))
        request.body, request.length = body, len(body)
        return await next(flow, request)

    def _rules_of(self, settings: Settings) -> ParameterRules:
        if self._settings is not settings:
            defaults, drop, overrides = (
                settings.openai_param_defaults,
                settings.openai_param_drop,
                settings.openai_param_overrides,
            )
            self._rules, self._settings = ParameterRules.of(defaults, drop, overrides), settings
        return self._rules


def in_words(changes: Mapping[str, Any]) -> str:
    """Say what the rules have changed."""
    return ", ".join(
        f"{name} {value.value if isinstance(value, Mark) else f'= {value!r}'}" for name, value in changes.items()
    )


def as_json(headers: Headers) -> Headers:
    """Return headers that say what the body was read as.

    Told another type or charset, an upstream could read other members in it: those of a form, or of UTF-7.
    """
    kinds = [value for name, value in headers if name == "content-type"]
    if all(JSON_TYPE.fullmatch(kind) for kind in kinds):
        return headers
    return headers.replaced("content-type", "application/json")
