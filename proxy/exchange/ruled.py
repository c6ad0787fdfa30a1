"""Requests the user's parameter rules apply to: a JSON object up, JSON or events down."""

import logging

from proxy.exchange.asking import Asking
from proxy.exchange.call import Call, RequestBody
from proxy.policy.params import REMOVED, ParameterRules, read_object, rewrite
from proxy.settings.model import Settings
from proxy.stream.relay import Answer

log = logging.getLogger(__name__)


class Ruled:
    """Check and change the body, then ask the upstream."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._rules = ParameterRules()
        self._rules_of: Settings | None = None

    async def open(self, call: Call, body: RequestBody) -> Answer:
        """Return the answer to pass on; raises ProxyError."""
        settings = self._asking.settings()
        content = self._apply_rules(call, await body.read(settings.max_body_bytes), settings)
        return await self._asking.ask(call, content, len(content), wants_json=True)

    def _apply_rules(self, call: Call, content: bytes, settings: Settings) -> bytes:
        fields = read_object(content)
        rules = self._current_rules(settings)
        changes = rules.changes(fields) if rules else None
        if not changes:
            return content
        if log.isEnabledFor(logging.DEBUG):
            told = ", ".join(
                f"{name} {'removed' if value is REMOVED else f'= {value!r}'}" for name, value in changes.items()
            )
            log.debug("%s rules: %s", call.request_id, told)
        return rewrite(content, changes)

    def _current_rules(self, settings: Settings) -> ParameterRules:
        if self._rules_of is not settings:
            self._rules = ParameterRules.of(
                settings.openai_param_defaults, settings.openai_param_drop, settings.openai_param_overrides
            )
            self._rules_of = settings
        return self._rules
