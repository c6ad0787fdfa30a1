"""Turns of a model over the Responses API, whole and as events."""

import re
from collections.abc import Sequence
from typing import Any

from fakes.scripted.answers import Sse
from fakes.scripted.samples import CREATED

Item = dict[str, Any]


def message(text: str, item_id: str = "msg_1") -> Item:
    """Return an item that says something."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def call(call_id: str, name: str, arguments: str) -> Item:
    """Return an item that calls a tool."""
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def thought(item_id: str = "rs_1") -> Item:
    """Return an item of thinking."""
    return {"id": item_id, "type": "reasoning", "summary": []}


def response(*items: Item, response_id: str = "resp_1", tools: Sequence[Any] = (), status: str = "completed") -> Item:
    """Return a whole response."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": CREATED + len(response_id),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-test",
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": list(tools),
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 1},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 15,
        },
    }


def events(*items: Item, response_id: str = "resp_1", status: str = "completed") -> list[Item]:
    """Return the events of a response, numbered."""
    whole = response(*items, response_id=response_id, status=status)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    told: list[Item] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
    for index, item in enumerate(items):
        told.append(
            {"type": "response.output_item.added", "output_index": index, "item": {**item, "status": "in_progress"}}
        )
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            told += [
                {"type": "response.output_text.delta", **place, "content_index": 0, "delta": word, "logprobs": []}
                for word in re.findall(r"\S+\s*", item["content"][0]["text"])
            ]
        if item["type"] == "function_call" and "arguments" in item:
            told.append({"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]})
            told.append({"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]})
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    told.append({"type": f"response.{status}", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(told)]


def streamed(*items: Item, response_id: str = "resp_1", status: str = "completed") -> Sse:
    """Return a response as a provider streams it."""
    return Sse(raw(events(*items, response_id=response_id, status=status)), done=False)


def raw(told: Sequence[Item]) -> list[bytes]:
    """Write events with their names."""
    pieces = Sse(told, done=False)._pieces()
    return [f"event: {event['type']}\n".encode() + piece for event, piece in zip(told, pieces, strict=True)]
