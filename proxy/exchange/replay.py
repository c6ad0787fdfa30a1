"""Say a whole answer as the events it would have been streamed in, for an upstream that does not stream."""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.stream.completions import DONE_EVENT
from proxy.stream.event_json import write_event
from proxy.stream.responses import ENDS

CHUNK_MEMBERS = ("id", "created", "model", "service_tier", "system_fingerprint")
Events = Iterator[bytes]


def events_of(value: Mapping[str, Any], *, with_usage: bool) -> Events | None:
    """Return the events of a completion or a response, None where it is neither, all its parts included."""
    choices, output = value.get("choices"), value.get("output")
    if isinstance(choices, list):
        is_chat = any("message" in choice for choice in choices if isinstance(choice, dict))
        if not all(is_choice(choice, is_chat=is_chat) for choice in choices):
            return None
        return completion_events(value, is_chat=is_chat, with_usage=with_usage)
    if isinstance(output, list):
        return response_events(value) if all(isinstance(item, dict) for item in output) else None
    return None


def is_choice(choice: object, *, is_chat: bool) -> bool:
    """Tell whether a choice can be told as chunks."""
    if not isinstance(choice, dict):
        return False
    if not is_chat:
        return isinstance(choice.get("text", ""), str)
    message = choice.get("message")
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    is_message = message is None or isinstance(message, dict)
    is_calls = calls is None or (isinstance(calls, list) and all(isinstance(call, dict) for call in calls))
    return is_message and is_calls


def completion_events(value: Mapping[str, Any], *, is_chat: bool, with_usage: bool) -> Events:
    """Yield the chunks of a completion: for each choice its text and its finish, then the usage, then the end."""
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    head = {"object": kind, **{name: value[name] for name in CHUNK_MEMBERS if name in value}}
    for place, choice in enumerate(value["choices"]):
        said: dict[str, Any] = (
            {"delta": delta_of(choice.get("message") or {})} if is_chat else {"text": choice.get("text", "")}
        )
        rest = {"index": choice.get("index", place), "logprobs": choice.get("logprobs")}
        yield write_event({**head, "choices": [{**rest, **said, "finish_reason": None}]})
        ended: dict[str, Any] = {"delta": {}} if is_chat else {"text": ""}
        finish = {**rest, "logprobs": None, **ended, "finish_reason": choice.get("finish_reason")}
        yield write_event({**head, "choices": [finish]})
    if with_usage and value.get("usage"):
        yield write_event({**head, "choices": [], "usage": value["usage"]})
    yield DONE_EVENT


def delta_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as the one delta it comes in; tool calls are numbered, as clients need them to be."""
    delta = {name: part for name, part in message.items() if part is not None and name != "tool_calls"}
    if calls := message.get("tool_calls"):
        delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    return {"role": "assistant", "content": None, **delta}


def response_events(value: Mapping[str, Any]) -> Events:
    """Yield the events of a response: each item as it begins and ends, its texts, then how the response ended."""
    started = {**value, "status": "in_progress", "output": []}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    for place, item in enumerate(value["output"]):
        events += item_events(item, {"output_index": place})
    status = value.get("status")
    ended = status if isinstance(status, str) and status in ENDS else "completed"
    events.append({"type": f"response.{ended}", "response": value})
    for number, event in enumerate(events):
        yield write_event({**event, "sequence_number": number}, event["type"])


def item_events(item: Mapping[str, Any], where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of one item of a response's output."""
    empty = {name: [] if name == "content" else part for name, part in item.items()}
    events: list[dict[str, Any]] = [{"type": "response.output_item.added", **where, "item": empty}]
    parts = item.get("content") if item.get("type") == "message" else None
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        here = {**where, "item_id": item.get("id"), "content_index": number}
        if not isinstance(part, dict):  # told as it came, with the whole item
            continue
        events.append({"type": "response.content_part.added", **here, "part": {**part, "text": ""}})
        if part.get("type") == "output_text":
            text = part.get("text", "")
            events.append({"type": "response.output_text.delta", **here, "delta": text, "logprobs": []})
            events.append({"type": "response.output_text.done", **here, "text": text, "logprobs": []})
        events.append({"type": "response.content_part.done", **here, "part": part})
    return [*events, {"type": "response.output_item.done", **where, "item": item}]
