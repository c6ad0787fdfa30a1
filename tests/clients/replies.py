"""What an upstream answers, in the API's own words: chats with tool calls, and the Responses API's events."""

import json
from typing import Any

from fakes.scripted_upstream import completion, completion_chunks

Event = dict[str, Any]

WORDS = ("Grüße, ", "世界 ", "👋🏽", " - it", " works.")
ARGUMENTS = ('{"ci', 'ty": "Zü', 'rich"}')
CREATED = 1_700_000_000


def tool_chunks(*, calls: int = 1, usage: bool = False) -> list[Event]:
    """Return the chunks of a stream that calls tools, the arguments in pieces."""
    [first, *_] = completion_chunks(finish=None)
    deltas: list[Event] = []
    for index in range(calls):
        name = {"index": index, "id": f"call_{index}", "type": "function"}
        deltas.append({**name, "function": {"name": "get_weather", "arguments": ""}})
        deltas += [{"index": index, "function": {"arguments": piece}} for piece in ARGUMENTS]
    chunks = [with_delta(first, {"tool_calls": [delta]}) for delta in deltas]
    *_, last = completion_chunks(finish="tool_calls")
    counted = completion_chunks("x", usage=True)[-1:] if usage else []
    return [first, *chunks, last, *counted]


def with_delta(chunk: Event, delta: Event) -> Event:
    """Return a chunk like this one, with another delta."""
    [choice] = chunk["choices"]
    return {**chunk, "choices": [{**choice, "delta": delta}]}


def with_finish(answer: Event, finish: str) -> Event:
    """Return an answer like this one, or a chunk, with another finish."""
    return {**answer, "choices": [{**choice, "finish_reason": finish} for choice in answer["choices"]]}


def text_chunks(*words: str, finish: str | None = "stop") -> list[Event]:
    """Return the chunks of a stream of the old completions, before there were chats."""
    frame = {"id": "cmpl-scripted", "object": "text_completion", "created": CREATED, "model": "gpt-test"}
    said: list[tuple[str, str | None]] = [(word, None) for word in words]
    if finish is not None:
        said.append(("", finish))
    return [
        {**frame, "choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": end}]} for word, end in said
    ]


def tool_completion() -> Event:
    """Return a chat completion that calls two tools."""
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "get_weather", "arguments": "".join(ARGUMENTS)}}
        for n in range(2)
    ]
    return completion("", tool_calls=calls)


def response(output: list[Event], status: str = "completed", **fields: Any) -> Event:
    """Return an object of the Responses API."""
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    }
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-test",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if status == "in_progress" else usage,
        **fields,
    }


def message_item(text: str = "".join(WORDS)) -> Event:
    """Return a message of the model."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def call_item() -> Event:
    """Return a call of a function."""
    return {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_0",
        "name": "get_weather",
        "arguments": "".join(ARGUMENTS),
        "status": "completed",
    }


def response_events(*, ending: str | None = "response.completed", item: Event | None = None) -> list[bytes]:
    """Return the events of a streamed response, framed with their names; without an ending it breaks off before it."""
    item = item or message_item()
    place = {"item_id": item["id"], "output_index": 0}
    started = response([], "in_progress")
    events: list[Event] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
    ]
    if item["type"] == "function_call":
        events += [{"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in ARGUMENTS]
        events.append(
            {
                "type": "response.function_call_arguments.done",
                **place,
                "name": "get_weather",
                "arguments": "".join(ARGUMENTS),
            }
        )
    else:
        place["content_index"] = 0
        events += [{"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in WORDS]
        events.append({"type": "response.output_text.done", **place, "text": "".join(WORDS), "logprobs": []})
    if ending is not None:
        events += [{"type": "response.output_item.done", "output_index": 0, "item": item}, terminal(ending, item)]
    return [framed({**event, "sequence_number": number}) for number, event in enumerate(events)]


def terminal(ending: str, item: Event) -> Event:
    """Return the event that ends a streamed response."""
    status = ending.removeprefix("response.")
    details: Event = {}
    if status == "failed":
        details = {"error": {"code": "server_error", "message": "scripted failure"}}
    if status == "incomplete":
        details = {"incomplete_details": {"reason": "max_output_tokens"}}
    return {"type": ending, "response": response([item], status, **details)}


def framed(event: Event) -> bytes:
    """Return an event as it stands in the stream, its name before it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def encoded(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def stream_of(events: list[Event]) -> bytes:
    """Return events as they stand in a stream, to be sent as something else."""
    return b"".join(b"data: %b\n\n" % encoded(event) for event in events)
