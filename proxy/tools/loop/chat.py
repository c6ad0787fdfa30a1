"""/v1/chat/completions as the loop needs it: what to offer, what a turn asks for, how the conversation goes on."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from proxy.http.json_text import Written, written
from proxy.tools.arguments import NAMES, NONE_GIVEN, arguments_in, sent_back
from proxy.tools.loop.mixed_turns import MixedTurns, key_for
from proxy.tools.loop.offer import MAX_WRITTEN, name_of, objects, offer_for, sent_back_name
from proxy.tools.loop.request import ModelCall, Offer, Turn, sum_usage
from proxy.tools.tool import CallRecord, JsonObject, Tool

# What of an assistant's message goes back upstream with the results; reasoning models want their thoughts again.
CARRIED = ("content", "refusal", "reasoning", "reasoning_content", "reasoning_details")
CALLED = ("tool_calls", "function_call", "stop")  # ends after which calls are run; a cut or filtered turn is no call
BETWEEN_TEXTS = "\n\n"


@dataclass(frozen=True)
class ChatTurn(Turn):
    """One turn of the model's: its message, and the calls in it."""

    message: JsonObject
    finish: str | None

    @property
    def text(self) -> str:
        """Return what it says beside its calls."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""

    @property
    def wants_results(self) -> bool:
        """Tell whether tools of ours are to be run for it."""
        return bool(self.ours) and self.finish in CALLED

    @property
    def leaves_open(self) -> bool:
        """Tell whether the user is left without an answer where its calls of ours are not run."""
        return not self.clients and self.finish in CALLED and (bool(self.ours) or not self.message.get("content"))


def offer(fields: JsonObject, tools: Mapping[str, Tool]) -> Offer | None:
    """Return what to add to a request, None where it is to be left alone."""
    settled = "functions" in fields or "function_call" in fields or fields.get("prediction") is not None
    several = fields.get("n") not in (None, 1)
    speaks = "audio" in (fields.get("modalities") or ())
    if settled or several or speaks or not isinstance(fields.get("messages"), list):
        return None
    return offer_for(fields.get("tool_choice"), objects(fields.get("tools")), tools, define)


@lru_cache(maxsize=MAX_WRITTEN)
def define(tool: Tool) -> Written:
    """Write a tool's definition."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return written({"type": "function", "function": function})


def read_turn(message: JsonObject, finish: object, offered: Offer) -> ChatTurn:
    """Read a message of the assistant's; a call without an id is given one."""
    raw = [
        {**call, "id": call.get("id") or f"call_{secrets.token_hex(12)}"} for call in objects(message.get("tool_calls"))
    ]
    calls = tuple(read_call(call, offered) for call in raw)
    carried = {name: message[name] for name in CARRIED if message.get(name) is not None}
    kept: JsonObject = {"role": "assistant", "content": None, **carried}
    return ChatTurn(calls, {**kept, "tool_calls": raw} if raw else kept, finish if isinstance(finish, str) else None)


def read_call(call: JsonObject, offered: Offer) -> ModelCall:
    """Read one call; what is no function is the client's."""
    kind = call.get("type") or "function"
    name = name_of({**call, "type": kind})
    is_ours = kind == "function" and offered.is_ours(name)
    return ModelCall(str(call["id"]), name, arguments_in(holder_of(call)) or arguments_in(call), is_ours)


def holder_of(call: JsonObject) -> JsonObject:
    """Return what holds a call's name and arguments: some upstreams leave out the member around them."""
    function = call.get("function")
    return function if isinstance(function, dict) else call


def turn_items(turn: ChatTurn, records: Iterable[CallRecord]) -> list[JsonObject]:
    """Return the messages a turn adds to the conversation: the assistant's, and our results."""
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": record.result}
        for call, record in zip(turn.ours, records, strict=True)
    ]
    raw = turn.message["tool_calls"]
    calls = [in_api_form(*both) for both in zip(raw, turn.calls, strict=True)]
    return [{**turn.message, "tool_calls": calls}, *results]


def in_api_form(raw: JsonObject, call: ModelCall) -> JsonObject:
    """Return a call as the API has it: some upstreams refuse the forms they sent themselves."""
    if raw.get("type") not in (None, "", "function"):
        return raw
    name, arguments = call.name, call.arguments or NONE_GIVEN
    if call.is_ours:
        name, arguments = sent_back_name(name), sent_back(arguments)
    is_flat = holder_of(raw) is raw
    around = {key: value for key, value in raw.items() if key not in NAMES and not (is_flat and key == "name")}
    beside = {} if is_flat else {key: value for key, value in raw["function"].items() if key not in NAMES}
    function = {**beside, "name": name, "arguments": arguments}
    return {**around, "id": call.id, "type": "function", "function": function}


def next_changes(fields: JsonObject, trail: Sequence[JsonObject]) -> JsonObject:
    """Return the changes that carry the conversation on."""
    return {"messages": [*fields["messages"], *trail]}


def restore_results(fields: JsonObject, mixed_turns: MixedTurns, caller: str) -> JsonObject:
    """Return the changes that put our kept results beside those the client brings; {} where there are none."""
    messages = fields.get("messages")
    if not isinstance(messages, list):
        return {}
    whole: list[Any] = []
    for message in messages:
        key = key_of(message, whole, caller)
        items = mixed_turns.look_up(key) if key else None
        whole.extend(items if items is not None else (message,))
    return {"messages": whole} if len(whole) > len(messages) else {}


def key_of(message: object, before: Sequence[Any], caller: str) -> str | None:
    """Return the key under which results may be kept for a message, None for one without calls."""
    if not isinstance(message, dict) or not (raw := objects(message.get("tool_calls"))):
        return None
    nobody = Offer({}, frozenset(), (), is_forced=False)
    calls = [read_call({"id": "", **call}, nobody) for call in raw]
    return key_for(caller, calls, asked(before))


def asked(messages: Sequence[Any]) -> str:
    """Return the text of the last thing the user said."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "".join(str(part.get("text") or "") for part in objects(content))
    return ""


def merge(
    completion: JsonObject, turn: ChatTurn, first: JsonObject | None, texts: Sequence[str], usage: Any
) -> JsonObject:
    """Return one completion for all rounds: the first one's id, the texts as one, the client's calls alone."""
    choice = objects(completion.get("choices"))[0]
    message = dict(choice.get("message") or {})
    raw = turn.message.get("tool_calls", ())
    left = [told for told, call in zip(raw, turn.calls, strict=True) if not call.is_ours]
    message.pop("tool_calls", None)
    if left:
        message["tool_calls"] = left
    if isinstance(message.get("content"), (str, type(None))):  # else it is in parts, which are left as they are
        told = [text for text in texts if text]
        message["content"] = BETWEEN_TEXTS.join(told) if told else (None if left else "")
    finish = "stop" if turn.ours and not left and turn.finish == "tool_calls" else choice.get("finish_reason")
    head: JsonObject = {name: first[name] for name in ("id", "created") if first and name in first}
    choices = [{**choice, "message": message, "finish_reason": finish}]
    total = sum_usage(usage, completion.get("usage"))
    return {**completion, **head, "choices": choices, **({"usage": total} if total is not None else {})}
