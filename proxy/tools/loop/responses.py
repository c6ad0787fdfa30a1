"""/v1/responses as the loop needs it: what to offer, what a turn asks for, how the conversation goes on."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from proxy.http.json_text import Written, written
from proxy.tools.arguments import NAMES, arguments_in, sent_back
from proxy.tools.loop.mixed_turns import MixedTurns, key_for
from proxy.tools.loop.offer import MAX_WRITTEN, objects, offer_for, sent_back_name
from proxy.tools.loop.request import ModelCall, Offer, Turn, sum_usage
from proxy.tools.rich_result import output_of
from proxy.tools.tool import CallRecord, JsonObject, Tool

CUT = ("incomplete", "failed", "cancelled")  # ends after which no calls are run


@dataclass(frozen=True)
class ResponseTurn(Turn):
    """One turn of the model's: the items it put out, and the calls among them."""

    items: tuple[JsonObject, ...]
    status: object

    @property
    def wants_results(self) -> bool:
        """Tell whether tools of ours are to be run for it."""
        return bool(self.ours) and self.status not in CUT

    @property
    def leaves_open(self) -> bool:
        """Tell whether the user is left without an answer where its calls of ours are not run."""
        has_message = any(item.get("type") == "message" and item.get("content") for item in self.items)
        return not self.clients and self.status not in CUT and (bool(self.ours) or not has_message)

    def visible(self, offer: Offer) -> list[JsonObject]:
        """Return the items the client sees."""
        return [item for item in self.items if not is_our_call(item, offer)]


def offer(fields: JsonObject, tools: Mapping[str, Tool]) -> Offer | None:
    """Return what to add to a request, None where it is to be left alone."""
    if fields.get("background") is True or not isinstance(fields.get("input"), (str, list)):
        return None
    return offer_for(fields.get("tool_choice"), objects(fields.get("tools")), tools, define)


@lru_cache(maxsize=MAX_WRITTEN)
def define(tool: Tool) -> Written:
    """Write a tool's definition; strict schemas allow no defaults, and ours have some."""
    return written(
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": False,
        }
    )


def read_turn(items: Iterable[JsonObject], status: object, offered: Offer) -> ResponseTurn:
    """Read the items a response puts out; a call of ours without an id is given one."""
    kept = tuple(
        {**item, "call_id": f"call_{secrets.token_hex(12)}"}
        if is_our_call(item, offered) and not item.get("call_id")
        else item
        for item in items
    )
    calls = [
        ModelCall(str(item.get("call_id") or ""), name_of_call(item), arguments_in(item), is_our_call(item, offered))
        for item in kept
        if item.get("type") in ("function_call", "custom_tool_call")
    ]
    return ResponseTurn(tuple(calls), kept, status)


def name_of_call(item: JsonObject) -> str:
    """Return the name in a call, "" where it has none."""
    name = item.get("name")
    return name if isinstance(name, str) else ""


def id_of_call(item: JsonObject) -> object:
    """Return what tells a call from another."""
    return item.get("call_id") or item.get("id")


def is_our_call(item: JsonObject, offered: Offer) -> bool:
    """Tell whether an item is a call the proxy answers."""
    return item.get("type") == "function_call" and offered.is_ours(name_of_call(item))


def in_api_form(item: JsonObject, offered: Offer) -> JsonObject:
    """Return an item as it goes back: a call of ours as the API has it, whatever form it came in."""
    if not is_our_call(item, offered):
        return item
    kept = {key: value for key, value in item.items() if key not in NAMES}
    name, arguments = sent_back_name(name_of_call(item)), sent_back(arguments_in(item))
    return {**kept, "call_id": str(item.get("call_id")), "name": name, "arguments": arguments}


def output_items(turn: ResponseTurn, records: Iterable[CallRecord]) -> list[JsonObject]:
    """Return the items that answer our calls of a turn."""
    return [
        {"type": "function_call_output", "call_id": call.id, "output": output_of(record.result)}
        for call, record in zip(turn.ours, records, strict=True)
    ]


def message_item(text: str) -> JsonObject:
    """Return an item that says something to the user."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item_id = f"msg_{secrets.token_hex(12)}"
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def message_events(item: JsonObject, index: int) -> list[JsonObject]:
    """Return the events that tell of such an item, their numbers left to who sends them."""
    [part] = item["content"]
    place = {"sequence_number": 0, "output_index": index}
    inside = {**place, "item_id": item["id"], "content_index": 0}
    empty = {**part, "text": ""}
    return [
        {"type": "response.output_item.added", **place, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **inside, "part": empty},
        {"type": "response.output_text.delta", **inside, "delta": part["text"], "logprobs": []},
        {"type": "response.output_text.done", **inside, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **inside, "part": part},
        {"type": "response.output_item.done", **place, "item": item},
    ]


def turn_items(
    fields: JsonObject, turn: ResponseTurn, records: Iterable[CallRecord], offered: Offer
) -> list[JsonObject]:
    """Return the items a turn adds to the conversation: all it put out, and our results."""
    is_stored = fields.get("store") is not False
    # Thoughts go back by their id where the upstream has stored them, by their content where they were asked for.
    out = [item for item in turn.items if item.get("type") != "reasoning" or is_stored or item.get("encrypted_content")]
    return [*(in_api_form(item, offered) for item in out), *output_items(turn, records)]


def next_changes(fields: JsonObject, trail: Sequence[JsonObject], last_outputs: Sequence[JsonObject]) -> JsonObject:
    """Return the changes that carry the conversation on; where the upstream holds it, the results are enough."""
    if fields.get("conversation") is not None:
        return {"input": list(last_outputs)}
    return {"input": [*input_items(fields), *trail]}


def input_items(fields: JsonObject) -> list[Any]:
    """Return a request's input as items."""
    given = fields["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def hidden_items(turns: Iterable[tuple[ResponseTurn, Sequence[JsonObject]]], offered: Offer) -> list[JsonObject]:
    """Return what the client does not see of some turns, each item with the id of the visible one before it."""
    hidden: list[JsonObject] = []
    for turn, outputs in turns:
        before: object = None
        for item in turn.items:
            if is_our_call(item, offered):
                hidden.append({"after": before, "item": in_api_form(item, offered)})
            else:
                before = item.get("id")
        hidden += [{"after": before, "item": item} for item in outputs]
    return hidden


def keep(
    mixed_turns: MixedTurns, caller: str, turns: Sequence[tuple[ResponseTurn, Sequence[JsonObject]]], offered: Offer
) -> None:
    """Keep our part of a turn of both sides, under the first call the client will answer.

    A client that sends its whole history lacks all of it; one that names the response before lacks the results alone.
    """
    last, outputs = turns[-1]
    first_call = last.clients[0].id
    mixed_turns.keep(history_key(caller, first_call), hidden_items(turns, offered))
    mixed_turns.keep(chain_key(caller, first_call), outputs)


def history_key(caller: str, call_id: str) -> str:
    """Return the key for a client that sends the call itself along."""
    return key_for(caller, [ModelCall(call_id, "", "", is_ours=False)], "history")


def chain_key(caller: str, call_id: str) -> str:
    """Return the key for a client that sends its result alone."""
    return key_for(caller, [ModelCall(call_id, "", "", is_ours=False)], "chain")


def restore_results(fields: JsonObject, mixed_turns: MixedTurns, caller: str) -> JsonObject:
    """Return the changes that put our kept items beside those the client brings; {} where there are none."""
    given = fields.get("input")
    if not isinstance(given, list):
        return {}
    whole: list[Any] = list(given)
    seen: set[str] = set()
    for item in objects(given):
        call_id = str(item.get("call_id") or "")
        if item.get("type") in ("function_call", "custom_tool_call") and call_id:
            seen.add(call_id)
            for hidden in mixed_turns.look_up(history_key(caller, call_id)) or ():
                insert(whole, hidden, item)
        elif call_id and call_id not in seen:
            whole[whole.index(item) : whole.index(item)] = mixed_turns.look_up(chain_key(caller, call_id)) or ()
    return {"input": whole} if len(whole) > len(given) else {}


def insert(whole: list[Any], hidden: JsonObject, call: JsonObject) -> None:
    """Put an item where it was: behind the visible one it followed and ours already there, else before the call."""
    after = hidden["after"]
    places = [place for place, item in enumerate(whole) if after and isinstance(item, dict) and item.get("id") == after]
    place = places[0] + 1 if places and places[0] < whole.index(call) else whole.index(call)
    while places and whole[place] is not call and is_hidden_kind(whole[place]):
        place += 1
    whole.insert(place, hidden["item"])


def is_hidden_kind(item: object) -> bool:
    """Tell whether an item is a call or a result."""
    return isinstance(item, dict) and item.get("type") in ("function_call", "function_call_output")


def without_ours(response: JsonObject, fields: JsonObject, offered: Offer) -> JsonObject:
    """Return a response that names the client's tools and choice alone."""
    told: JsonObject = {}
    if isinstance(response.get("tools"), list):
        told["tools"] = [tool for tool in response["tools"] if not is_our_definition(tool, offered)]
    if "tool_choice" in response:
        told["tool_choice"] = fields.get("tool_choice") or "auto"
    return {**response, **told}


def is_our_definition(tool: object, offered: Offer) -> bool:
    """Tell whether a definition is one that was added."""
    return isinstance(tool, dict) and tool.get("type") == "function" and tool.get("name") in offered.tools


def merge(
    response: JsonObject, fields: JsonObject, offered: Offer, before: Sequence[JsonObject], usage: Any
) -> JsonObject:
    """Return one response for all rounds: every visible item, the usage summed; its id is the last one's."""
    shown = [item for item in objects(response.get("output")) if not is_our_call(item, offered)]
    total = sum_usage(usage, response.get("usage"))
    told = {"usage": total} if total is not None else {}
    return {**without_ours(response, fields, offered), "output": [*before, *shown], **told}
