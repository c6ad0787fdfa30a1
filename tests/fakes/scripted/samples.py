"""Chat completions as a provider sends them, whole and in chunks."""

from collections.abc import Sequence
from typing import Any

CREATED = 1_700_000_000


def completion(text: str = "Hello there.", *, model: str = "gpt-test", **message: Any) -> dict[str, Any]:  # JSON
    """Return a chat completion that says `text`; `message` adds fields to its message, such as `tool_calls`."""
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }


def completion_chunks(
    *words: str, model: str = "gpt-test", finish: str | None = "stop", usage: bool = False
) -> list[dict[str, Any]]:
    """Return the chunks of a stream: the role, a delta for each word, the finish unless None, and usage where asked."""
    deltas: Sequence[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    chunks = [_chunk(model, [_choice(delta, None)]) for delta in deltas]
    if finish is not None:
        chunks.append(_chunk(model, [_choice({}, finish)]))
    if usage:
        counts = {"prompt_tokens": 5, "completion_tokens": len(words), "total_tokens": 5 + len(words)}
        chunks.append(_chunk(model, []) | {"usage": counts})
    return chunks


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _chunk(model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": choices,
    }
