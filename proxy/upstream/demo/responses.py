"""POST /v1/responses, whole or as its sequence of events."""

from collections.abc import Iterator

from proxy.upstream.demo.asgi import EventStream, Reply, Request
from proxy.upstream.demo.body import (
    JsonObject,
    json_document,
    read_count,
    read_model,
    read_nested,
    read_object,
    read_objects,
)
from proxy.upstream.demo.conversation import Answer, answer, read_conversation
from proxy.upstream.demo.problems import missing_parameter
from proxy.upstream.demo.sse import event
from proxy.upstream.demo.texts import TOKENS_LIMIT, new_id, now, split_arguments, split_words
from proxy.upstream.demo.tool_calls import read_toolbox
from proxy.upstream.demo.usage import response_usage


def create_response(request: Request) -> Reply:
    """Answer an input, whole or as a stream."""
    body = read_object(request)
    model = read_model(body)
    conversation = read_conversation(_read_input(body.get("input")))
    answered = answer(
        conversation,
        read_toolbox(body),
        json_format=read_nested(body.get("text")).get("format"),
        most_tokens=read_count(body, "max_output_tokens", default=TOKENS_LIMIT, most=TOKENS_LIMIT),
    )
    response = _response(body, model)
    items = _items(answered)
    ending = _ending(answered, items, response_usage(conversation.prompt_tokens, answered.tokens))
    if body.get("stream") is True:
        return EventStream(_stream(response, items, ending))
    return json_document(response | ending)


def _read_input(value: object) -> list[JsonObject]:
    items = [{"role": "user", "content": value}] if isinstance(value, str) else read_objects(value)
    if not items:
        raise missing_parameter("input")
    return items


def _response(body: JsonObject, model: str) -> JsonObject:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, **read_nested(body.get("text"))},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [{"parameters": None, "strict": None, **tool} for tool in read_objects(body.get("tools"))],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": read_nested(body.get("metadata")),
    }


def _items(answered: Answer) -> list[JsonObject]:
    if not answered.calls:
        message = {"id": new_id("msg_"), "type": "message", "status": "completed", "role": "assistant"}
        return [{**message, "content": [_text_part(answered.text)]}]
    return [
        {
            "id": new_id("fc_"),
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }
        for call in answered.calls
    ]


def _text_part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _ending(answered: Answer, items: list[JsonObject], usage: JsonObject) -> JsonObject:
    if answered.finish == "length":
        reason = {"reason": "max_output_tokens"}
        return {"status": "incomplete", "incomplete_details": reason, "output": items, "usage": usage}
    return {"status": "completed", "completed_at": now(), "output": items, "usage": usage}


def _stream(response: JsonObject, items: list[JsonObject], ending: JsonObject) -> Iterator[bytes]:
    for number, payload in enumerate(_events(response, items, ending)):
        yield event({**payload, "sequence_number": number}, payload["type"])


def _events(response: JsonObject, items: list[JsonObject], ending: JsonObject) -> Iterator[JsonObject]:
    yield {"type": "response.created", "response": response}
    yield {"type": "response.in_progress", "response": response}
    for index, item in enumerate(items):
        begin: JsonObject = {"content": []} if item["type"] == "message" else {"arguments": ""}
        added = {**item, "status": "in_progress", **begin}
        yield {"type": "response.output_item.added", "output_index": index, "item": added}
        yield from _text_events(index, item) if item["type"] == "message" else _call_events(index, item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{ending['status']}", "response": response | ending}


def _text_events(index: int, item: JsonObject) -> Iterator[JsonObject]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    yield {"type": "response.content_part.added", **place, "part": _text_part("")}
    for word in split_words(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(index: int, item: JsonObject) -> Iterator[JsonObject]:
    place = {"item_id": item["id"], "output_index": index}
    for piece in split_arguments(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
