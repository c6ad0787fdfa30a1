"""POST /v1/chat/completions, whole or as a stream."""

import time
from collections.abc import Iterator

from proxy.demo.answers import Answer, answer
from proxy.demo.body import JsonObject, missing, read_count, read_model, read_nested, read_objects
from proxy.demo.prompt_cache import PromptCache
from proxy.demo.texts import format_event, new_id, split_arguments, split_words


def create_chat_completion(body: JsonObject, cache: PromptCache) -> JsonObject | Iterator[bytes]:
    """Answer a chat, whole or as a stream; raises Refusal."""
    head = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": read_model(body)}
    messages = read_objects(body.get("messages"))
    if not messages:
        raise missing("messages")
    most_tokens = read_count(body, "max_completion_tokens") or read_count(body, "max_tokens")
    answered = answer(body, messages, cache, text_format=body.get("response_format"), most_tokens=most_tokens)
    usage: JsonObject = {
        "prompt_tokens": answered.prompt.tokens,
        "completion_tokens": answered.tokens,
        "total_tokens": answered.prompt.tokens + answered.tokens,
        "prompt_tokens_details": {"cached_tokens": answered.prompt.cached},
    }
    if body.get("stream") is True:
        wants_usage = read_nested(body.get("stream_options")).get("include_usage") is True
        return _stream({**head, "object": "chat.completion.chunk"}, answered, usage if wants_usage else None)
    message: JsonObject = {"role": "assistant", "content": answered.text, "refusal": None}
    if answered.calls:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answered.calls
        ]
        message |= {"content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answered.finish}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


def _stream(head: JsonObject, answered: Answer, usage: JsonObject | None) -> Iterator[bytes]:
    no_usage_yet = {} if usage is None else {"usage": None}
    for delta in _deltas(answered):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None if delta else answered.finish}
        yield format_event({**head, "choices": [choice], **no_usage_yet})
    if usage is not None:
        yield format_event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _deltas(answered: Answer) -> Iterator[JsonObject]:
    """Yield the parts of an answer, and an empty one at its end."""
    yield {"role": "assistant", "content": None if answered.calls else "", "refusal": None}
    for word in split_words(answered.text):
        yield {"content": word}
    for index, call in enumerate(answered.calls):
        opening = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **opening}]}
        for piece in split_arguments(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    yield {}
