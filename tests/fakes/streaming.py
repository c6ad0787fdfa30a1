"""Streams as tests ask for them: through the proxy byte for byte, and as the official SDK reads them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import openai

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted.answers import Event
from fakes.scripted.samples import completion_chunks
from fakes.shared_upstream import connect
from fakes.wire_client import Reply

TEXTS = "/v1/completions"
RESPONSES = "/v1/responses"
STREAM = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
MESSAGES: Any = [{"role": "user", "content": "Hi"}]
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
FINISHED = completion_chunks("Hel", "lo")
UNFINISHED = completion_chunks("Hel", "lo", finish=None)
SDKS = ["sync", "async"]  # the two forms of the official one, as `read_with_sdk` calls them


def bytes_of(*events: Event) -> bytes:
    """Return events as the scripted upstream writes them."""
    return b"".join(
        event
        if isinstance(event, bytes)
        else f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
        for event in events
    )


def stream(proxy: RunningProxy, path: str = CHAT, body: bytes = STREAM, *lines: str, limit_s: float = 10) -> Reply:
    """Ask for a stream and read it to its proper end; EOFError where it breaks off."""
    with connect(proxy, limit_s=limit_s) as client:
        return client.post(path, body, *lines)


def told_error(reply: Reply, events: bytes, path: str = CHAT) -> Any:
    """Return the error that a stream ended with after these events; fails where anything else followed them."""
    assert reply.status == 200
    assert reply.body.startswith(events), reply.body
    rest = reply.body[len(events) :]
    if path == RESPONSES:
        assert rest.startswith(b"event: error\ndata: "), rest
        error = json.loads(rest.removeprefix(b"event: error\ndata: "))
        assert error.keys() == {"type", "code", "message", "param", "sequence_number", "error"}, error
        assert error["type"] == "error"
        assert error["error"].keys() == {"type", "code", "message", "param"}, error
        assert error["error"].items() - {("type", error["error"]["type"])} <= error.items()
    else:
        assert rest.startswith(b"data: "), rest
        error = json.loads(rest.removeprefix(b"data: "))["error"]
        assert error.keys() == {"message", "type", "param", "code"}, error
    assert rest.endswith(b"\n\n")
    assert error["message"]
    return error


def read_with_sdk(base_url: str, kind: str, **options: Any) -> list[Any]:
    """Read a chat stream with the official SDK, `sync` or `async`, and return its chunks as plain values."""
    given = {"base_url": base_url, "api_key": "any", "max_retries": 0, "timeout": 10}
    asked = {"model": "m", "messages": MESSAGES, "stream": True, **options}
    if kind == "async":
        return asyncio.run(read_async(given, asked))
    with openai.OpenAI(**given) as sdk:  # type: ignore[arg-type]  # a table of options
        return [chunk.to_dict() for chunk in sdk.chat.completions.create(**asked)]


async def read_async(given: Any, asked: Any) -> list[Any]:
    """Read it with the asynchronous SDK."""
    async with openai.AsyncOpenAI(**given) as sdk:
        return [chunk.to_dict() async for chunk in await sdk.chat.completions.create(**asked)]


def response_events(*words: str, last: str | None = "response.completed") -> Sequence[bytes]:
    """Return the events of a response that says these words, up to the one that ends it unless None."""
    response = {
        "id": "resp_1",
        "object": "response",
        "model": "m",
        "status": "in_progress",
        "output": [],
        "error": None,
    }
    events: list[dict[str, Any]] = [{"type": "response.created", "response": response}]
    events += [
        {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": word}
        for word in words
    ]
    if last is not None:
        usage = {"input_tokens": 5, "output_tokens": len(words), "total_tokens": 5 + len(words)}
        status = last.removeprefix("response.")
        events.append({"type": last, "response": {**response, "status": status, "usage": usage}})
    return [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n".encode()
        for number, event in enumerate(events)
    ]
