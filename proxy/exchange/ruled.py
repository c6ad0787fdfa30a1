"""Requests the user's parameter rules apply to: a JSON object up, JSON or events down."""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.errors.request import ModelInAddress
from proxy.exchange.asking import Asking
from proxy.exchange.call import Call, RequestBody
from proxy.exchange.counting import OPTION, Ask, Counting
from proxy.exchange.encodings import decoded
from proxy.exchange.streams import StreamWish, error_event_for
from proxy.policy.body import Mark, read_object, rewrite, value_of
from proxy.policy.endpoints import names_model
from proxy.policy.params import ParameterRules
from proxy.settings.model import Settings
from proxy.stream.pulse import Pulse
from proxy.stream.relay import Answer
from proxy.tools.execution import PATHS as TOOL_PATHS
from proxy.tools.execution import ToolExecution
from proxy.tools.loop.request import ToolRequest

KEEP_ALIVE_S = 15.0  # editors give a silent connection up after minutes, some gateways after half of one

TOOLS = "tools"
JSON_TYPE = re.compile(r"\s*application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?;?\s*", re.IGNORECASE)
FOR_ONE_BODY = ("idempotency-key",)  # means one body, and the rounds of a request with tools have one each

log = logging.getLogger(__name__)


class Ruled:
    """Check and change the body, then ask the upstream; where the model may call our tools, as often as it takes."""

    def __init__(self, asking: Asking, tools: ToolExecution, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._asking = asking
        self._tools = tools
        self._keep_alive_s = keep_alive_s
        self._counting = Counting()
        self._rules = ParameterRules()
        self._rules_of: Settings | None = None

    async def open(self, call: Call, body: RequestBody, pulse: Pulse) -> Answer:
        """Return the answer to pass on; raises ProxyError."""
        settings = self._asking.settings()
        limit_bytes = settings.max_body_bytes
        call, given = await decoded(call, await body.read(limit_bytes), limit_bytes)
        fields = read_object(given)
        content = given
        if rules := self._current_rules(settings):
            call, content = as_json(call), self._apply_rules(call, given, fields, rules)
        wish = wish_of(fields) if fields.get("stream") is True else None
        if wish is not None and (error_event := error_event_for(call.path)):
            pulse.expect(self._keep_alive_s, error_event)
        may_offer = settings.enable_tool_execution and call.path in TOOL_PATHS
        if not may_offer or rules.settle(TOOLS, fields):  # what the user's own rules do with the tools stands
            return await self._way(call, fields, wish, settings)(content)
        call = replace(call, headers=[pair for pair in call.headers if pair[0] not in FOR_ONE_BODY])
        ask = self._way(call, fields, wish, settings)
        sent = fields if content is given else read_object(content)
        return await self._tools.open(
            ToolRequest(call.path, sent, content, call.request_id, caller_of(call), ask, rewrite, pulse.forbid_retry)
        )

    def _way(self, call: Call, fields: Mapping[str, Any], wish: StreamWish | None, settings: Settings) -> Ask:
        """Return what asks with a content; for a stream it has the tokens counted, where nobody decided otherwise."""

        async def send(content: bytes, wish: StreamWish | None = wish) -> Answer:
            return await self._asking.ask(call, content, len(content), wants_json=True, wish=wish)

        # What the user's own rules do with the option stands.
        if wish is None or self._current_rules(settings).touches(OPTION, fields):
            return send
        return self._counting.way(send, call.path, value_of(fields, OPTION), wish, settings)

    def _apply_rules(self, call: Call, body: bytes, fields: Mapping[str, Any], rules: ParameterRules) -> bytes:
        """Return what goes upstream for a body; raises ModelInAddress."""
        if rules.look_at_the_model and names_model(call.path, call.query):
            raise ModelInAddress
        content, changes = rules.apply(body, fields)
        if changes and log.isEnabledFor(logging.DEBUG):
            told = ", ".join(
                f"{name} {value.value if isinstance(value, Mark) else f'= {value!r}'}"
                for name, value in changes.items()
            )
            log.debug("%s rules: %s", call.request_id, told)
        return content

    def _current_rules(self, settings: Settings) -> ParameterRules:
        if self._rules_of is not settings:
            self._rules = ParameterRules.of(
                settings.openai_param_defaults, settings.openai_param_drop, settings.openai_param_overrides
            )
            self._rules_of = settings
        return self._rules


def as_json(call: Call) -> Call:
    """Return a call whose headers say what its body was read as.

    Told another type or charset, an upstream could read other members in it: those of a form, or of UTF-7.
    """
    kinds = [value for name, value in call.headers if name == "content-type"]
    if all(JSON_TYPE.fullmatch(kind) for kind in kinds):
        return call
    rest = [pair for pair in call.headers if pair[0] != "content-type"]
    return replace(call, headers=[*rest, ("content-type", "application/json")])


def caller_of(call: Call) -> str:
    """Return what tells one caller from another, "" where nothing does."""
    return call.caller.key_name or call.caller.upstream_key or ""


def wish_of(fields: Mapping[str, Any]) -> StreamWish:
    """Return what a request for a stream says about it."""
    options = value_of(fields, OPTION)
    return StreamWish(asked_usage=isinstance(options, dict) and options.get("include_usage") is True)
