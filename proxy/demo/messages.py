"""POST /v1/messages, whole or as its sequence of events: Claude's API."""

from collections.abc import Iterator

from proxy.demo.answers import Answer, answer
from proxy.demo.body import JsonObject, missing, read_count, read_model, read_objects
from proxy.demo.prompt_cache import PromptCache
from proxy.demo.texts import format_event, new_id, split_words

STOP_REASONS = {"length": "max_tokens", "stop": "end_turn"}


def create_message(body: JsonObject, cache: PromptCache) -> JsonObject | Iterator[bytes]:
    """Answer a conversation, whole or as a stream. It calls no tools. Raises Refusal."""
    model, messages = read_model(body), read_objects(body.get("messages"))
    if not messages:
        raise missing("messages")
    most_tokens = read_count(body, "max_tokens")
    answered = answer({**body, "tools": None}, messages, cache, text_format=None, most_tokens=most_tokens)
    prompt = {
        "input_tokens": answered.prompt.tokens - answered.prompt.cached,  # this API counts the cached ones beside it
        "cache_read_input_tokens": answered.prompt.cached,
        "cache_creation_input_tokens": 0,
    }
    message: JsonObject = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**prompt, "output_tokens": 1},
    }
    if body.get("stream") is True:
        return map(format_event, events(message, answered))
    usage = {**prompt, "output_tokens": answered.tokens}
    return message | {
        "content": [{"type": "text", "text": answered.text}],
        "stop_reason": stop(answered),
        "usage": usage,
    }


def events(message: JsonObject, answered: Answer) -> Iterator[JsonObject]:
    """Yield the events of an answer."""
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for word in split_words(answered.text):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    ending = {"stop_reason": stop(answered), "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": answered.tokens}}
    yield {"type": "message_stop"}


def stop(answered: Answer) -> str:
    """Return why it ended, in this API's words."""
    return STOP_REASONS.get(answered.finish, "end_turn")
