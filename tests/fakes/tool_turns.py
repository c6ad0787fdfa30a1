"""Chat turns of a model that calls tools, whole and in chunks; and a file of tools to call."""

from collections.abc import Sequence
from typing import Any

from fakes.scripted.samples import CREATED, completion

TOOLS_FILE = '''
import asyncio
import threading
import time

BOTH = threading.Barrier(2)


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


def fail(reason: str = "no reason") -> str:
    """Fail."""
    raise RuntimeError(reason)


def slow(seconds: float = 60) -> str:
    """Take long."""
    time.sleep(seconds)
    return "late"


async def slow_async(seconds: float = 60) -> str:
    """Take long, awaiting."""
    await asyncio.sleep(seconds)
    return "late"


def book(city: str = "NOWHERE", nights: int = 1) -> str:
    """Book a hotel."""
    return f"booked {city} {nights}"


def meet() -> str:
    """Return only where two calls run at the same time."""
    BOTH.wait(10)
    return "met"
'''

CALL = tuple[str, str, str]  # id, name, arguments


def called(*calls: CALL, text: str | None = None, answer_id: str = "chatcmpl-turn") -> dict[str, Any]:
    """Return a completion that calls tools."""
    raw = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    return {**completion("", tool_calls=raw), "id": answer_id} | (
        {} if text is None else {"choices": completion(text, tool_calls=raw)["choices"]}
    )


def chunk(
    delta: dict[str, Any], finish: str | None = None, answer_id: str = "chatcmpl-turn", **more: Any
) -> dict[str, Any]:
    """Return one chunk."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": CREATED + 5,
        "model": "gpt-test",
        "choices": [choice],
        **more,
    }


def usage_chunk(prompt: int, answered: int, answer_id: str = "chatcmpl-turn") -> dict[str, Any]:
    """Return the chunk that counts tokens."""
    counts = {"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}
    return {**chunk({}, answer_id=answer_id), "choices": [], "usage": counts}


def called_chunks(
    *calls: CALL, words: Sequence[str] = (), usage: bool = False, answer_id: str = "chatcmpl-turn"
) -> list[dict[str, Any]]:
    """Return the chunks of a turn that calls tools, the arguments in pieces."""
    chunks = [chunk({"role": "assistant", "content": None if not words else ""}, answer_id=answer_id)]
    chunks += [chunk({"content": word}, answer_id=answer_id) for word in words]
    for index, (call_id, name, arguments) in enumerate(calls):
        head = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        chunks.append(chunk({"tool_calls": [head]}, answer_id=answer_id))
        half = len(arguments) // 2
        chunks += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, answer_id=answer_id)
            for piece in (arguments[:half], arguments[half:])
        ]
    chunks.append(chunk({}, "tool_calls", answer_id=answer_id))
    return chunks + ([usage_chunk(10, 3, answer_id)] if usage else [])


def text_chunks(*words: str, usage: bool = False, answer_id: str = "chatcmpl-last") -> list[dict[str, Any]]:
    """Return the chunks of a turn that only says something."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    chunks = [chunk(delta, answer_id=answer_id) for delta in deltas]
    chunks.append(chunk({}, "stop", answer_id=answer_id))
    return chunks + ([usage_chunk(20, 4, answer_id)] if usage else [])
