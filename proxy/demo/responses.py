"""POST /v1/responses, whole or as its sequence of events."""

import time
from collections.abc import Iterator

from proxy.demo.answers import Answer, answer
from proxy.demo.body import JsonObject, missing, read_count, read_model, read_nested, read_objects
from proxy.demo.prompt_cache import PromptCache
from proxy.demo.texts import format_event, new_id, split_arguments, split_words


def create_response(body: JsonObject, cache: PromptCache) -> JsonObject | Iterator[bytes]:
    """Answer an input, whole or as a stream; raises Refusal."""
    given = body.get("input")
    items = [{"role": "user", "content": given}] if given and isinstance(given, str) else read_objects(given)
    response = _response(body)
    if not items:
        raise missing("input")
    text_format = read_nested(body.get("text")).get("format")
    answered = answer(body, items, cache, text_format=text_format, most_tokens=read_count(body, "max_output_tokens"))
    whole = response | _ending(answered)
    if body.get("stream") is True:
        numbered = enumerate(_events(response, whole))
        return (format_event({**event, "sequence_number": number}) for number, event in numbered)
    return whole


def _response(body: JsonObject) -> JsonObject:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": read_nested(body.get("metadata")),
        "model": read_model(body),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [{"parameters": None, "strict": None, **tool} for tool in read_objects(body.get("tools"))],
        "usage": None,
    }


def _ending(answered: Answer) -> JsonObject:
    usage = {
        "input_tokens": answered.prompt.tokens,
        "input_tokens_details": {"cached_tokens": answered.prompt.cached, "cache_write_tokens": 0},
        "output_tokens": answered.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answered.prompt.tokens + answered.tokens,
    }
    ending = {"status": "completed", "output": _items(answered), "usage": usage}
    if answered.finish == "length":
        ending |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return ending


def _items(answered: Answer) -> list[JsonObject]:
    if not answered.calls:
        message = {"id": new_id("msg_"), "type": "message", "status": "completed", "role": "assistant"}
        return [{**message, "content": [_text_part(answered.text)]}]
    kind = {"type": "function_call", "status": "completed"}
    return [
        {"id": new_id("fc_"), **kind, "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in answered.calls
    ]


def _text_part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _events(response: JsonObject, whole: JsonObject) -> Iterator[JsonObject]:
    yield {"type": "response.created", "response": response}
    yield {"type": "response.in_progress", "response": response}
    for index, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": index}
        is_call = item["type"] == "function_call"
        empty: JsonObject = {"arguments": ""} if is_call else {"content": []}
        added = {**item, "status": "in_progress", **empty}
        yield {"type": "response.output_item.added", "output_index": index, "item": added}
        yield from _call_events(place, item["arguments"]) if is_call else _text_events(place, item["content"][0])
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _text_events(item: JsonObject, part: JsonObject) -> Iterator[JsonObject]:
    place = {**item, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": _text_part("")}
    for word in split_words(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(place: JsonObject, arguments: str) -> Iterator[JsonObject]:
    for piece in split_arguments(arguments):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": arguments}
