"""One request's way through the rounds: runs the calls, counts, keeps what goes back upstream."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.http.answer import Answer
from proxy.http.json_text import written_list
from proxy.settings.model import Settings
from proxy.tools.consent import Consent
from proxy.tools.loop.mixed_turns import MixedTurns
from proxy.tools.loop.models_without_tools import ModelsWithoutTools
from proxy.tools.loop.offer import name_of, objects
from proxy.tools.loop.request import ModelCall, Offer, Round, ToolRequest
from proxy.tools.loop.response_ids import ResponseIds
from proxy.tools.loop.tool_refusals import blamed, refuses_tools
from proxy.tools.runner import CallLimits, Runner, log_call
from proxy.tools.tool import CallFailed, CallRecord, JsonObject, Tool

ASKER_NAME_LIMIT = 60
MAX_REFUSALS = 4  # so often single tools are left out; then all of ours are


@dataclass(frozen=True)
class LoopParts:
    """What every request's loop works with."""

    runner: Runner
    consent: Consent
    mixed_turns: MixedTurns
    response_ids: ResponseIds
    without_tools: ModelsWithoutTools


class Session:
    """Follow one request. Lives on the event loop."""

    def __init__(
        self, request: ToolRequest, offer: Offer, changes: JsonObject, settings: Settings, parts: LoopParts
    ) -> None:
        self.request = request
        self.offer = offer
        self.trail: list[JsonObject] = []  # what the rounds so far add to the conversation
        self._changes = changes  # of the body's members, in every round, beside the tools
        self._parts = parts
        self._limits = CallLimits.of(settings)
        self._most_calls = settings.tool_max_calls
        self._rounds_left = self._most_rounds = settings.tool_max_rounds
        self._upstream = request.upstream

    @property
    def mixed_turns(self) -> MixedTurns:
        """Return where turns of both sides are kept."""
        return self._parts.mixed_turns

    @property
    def response_ids(self) -> ResponseIds:
        """Return where the ids of responses are kept."""
        return self._parts.response_ids

    @property
    def may_run(self) -> bool:
        """Tell whether calls are still run; after the last round the model has to do without."""
        return self._rounds_left > 0

    @property
    def limit_told(self) -> str:
        """Return what the user is told where the model has not answered by the last round."""
        return f"[No answer: the limit of rounds of tool calls was reached (TOOL_MAX_ROUNDS={self._most_rounds}).]"

    async def request_turn(self, changes: JsonObject | None = None) -> Answer:
        """Ask the upstream for the next turn; raises ProxyError."""
        request, own = self.request, self.request.fields.get("tools")
        changes = {**self._changes, **(changes or {})}
        if self.offer.definitions:
            changes["tools"] = written_list([*(own if isinstance(own, list) else ()), *self.offer.definitions])
        return await request.send(request.rewrite(request.content, changes) if changes else request.content)

    async def request_first_turn(self) -> Answer:
        """Ask for the first turn; where tools of ours were in the way, without those; raises ProxyError."""
        answer = await self.request_turn()
        left_out: dict[str, Tool] = {}
        for number in range(MAX_REFUSALS):
            refused = self._refused_in(answer, is_last=number == MAX_REFUSALS - 1)
            if not refused:
                return answer
            said = answer.body or b""
            answer.close()
            left_out |= refused
            self._leave_out(refused)
            answer = await self.request_turn()
            if answer.status < 400:
                model = self.request.fields.get("model")
                tools = left_out if self.offer.tools else None
                self._parts.without_tools.note(self._upstream, model, tools, said)
        return answer

    def _refused_in(self, answer: Answer, *, is_last: bool) -> Mapping[str, Tool]:
        """Return which of our tools an answer refuses."""
        fields, ours = self.request.fields, self.offer.tools
        if not ours or not refuses_tools(answer, fields.get("model")):
            return {}
        own = [name_of(definition) for definition in objects(fields.get("tools"))]
        names = blamed(answer, [*own, *ours])
        if not names & ours.keys():
            return {} if own or names else ours  # the client's own are the client's to see
        return ours if is_last else {name: ours[name] for name in names & ours.keys()}

    def _leave_out(self, refused: Mapping[str, Tool]) -> None:
        """Offer these no longer."""
        offer = self.offer
        kept = [pair for pair in zip(offer.tools.items(), offer.definitions, strict=True) if pair[0][0] not in refused]
        self.offer = replace(
            offer, tools=dict(item for item, _ in kept), definitions=tuple(definition for _, definition in kept)
        )
        what = f"the tools {', '.join(sorted(refused))}" if kept else "our tools"
        self.request.note_repair(f"asked again without {what}")

    def choice(self) -> JsonObject:
        """Return the change of the tool choice for the turn after a round."""
        if not self.may_run:
            return {"tool_choice": "none"}
        return {"tool_choice": "auto"} if self.offer.is_forced else {}

    async def run(self, calls: Sequence[ModelCall], *, is_mixed: bool) -> list[CallRecord]:
        """Run the calls of one turn, side by side, and return what became of each."""
        began = time.monotonic()
        self._rounds_left -= 1
        records = await asyncio.gather(*(self._run(call, number) for number, call in enumerate(calls)))
        done = Round(tuple(records), time.monotonic() - began, is_mixed)
        self.request.note_round(done)
        return records

    async def _run(self, call: ModelCall, number: int) -> CallRecord:
        if number >= self._most_calls:
            failure = CallFailed("too many", f"Only {self._most_calls} calls a turn are run; ask for this one again.")
            record = CallRecord(call.name, call.arguments, f"Error: {failure}", failure.outcome, 0.0)
            return log_call(record, self.request.request_id)
        return await self._parts.runner.run(
            self.offer.tools.get(call.name),
            call.name,
            call.arguments,
            self._limits,
            self._permits,
            self.request.request_id,
        )

    async def _permits(self, tool: Tool, arguments: str) -> bool:
        """Tell whether a call may run. From here on the request has effects: a question to the user is one too."""
        self.request.begin()
        return await self._parts.consent.permits(tool, arguments, self._asker)

    @property
    def _asker(self) -> str:
        """Return the client program and the model, as a question names them; both are what others say of themselves."""
        names = (self.request.client, self.request.fields.get("model"))
        known = [name[:ASKER_NAME_LIMIT] for name in names if isinstance(name, str) and name.isprintable() and name]
        return " with ".join(known)
