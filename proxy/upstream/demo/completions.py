"""POST /v1/completions, the API before chat."""

from collections.abc import Iterator

from proxy.upstream.demo.asgi import EventStream, Reply, Request
from proxy.upstream.demo.body import (
    JsonObject,
    json_document,
    read_count,
    read_model,
    read_nested,
    read_object,
    read_strings,
)
from proxy.upstream.demo.sse import DONE, event
from proxy.upstream.demo.texts import TOKENS_LIMIT, count_tokens, cut_to_tokens, greeting, new_id, now, split_words
from proxy.upstream.demo.usage import completion_usage

PROMPTS_LIMIT = 16


def create_completion(request: Request) -> Reply:
    """Answer one prompt or several, whole or as a stream."""
    body = read_object(request)
    # A prompt may also be a list of token numbers, in which the demo cannot read.
    prompts = read_strings(body.get("prompt"))[:PROMPTS_LIMIT] or [""]
    most_tokens = read_count(body, "max_tokens", default=TOKENS_LIMIT, most=TOKENS_LIMIT)
    texts = [cut_to_tokens(greeting(prompt, 0, []), most_tokens) for prompt in prompts]
    choices = [_choice(index, text, "length" if was_cut else "stop") for index, (text, was_cut) in enumerate(texts)]
    head = {"id": new_id("cmpl-"), "object": "text_completion", "created": now(), "model": read_model(body)}
    usage = completion_usage(count_tokens("".join(prompts)), sum(count_tokens(text) for text, _ in texts))
    if body.get("stream") is True:
        wants_usage = read_nested(body.get("stream_options")).get("include_usage") is True
        return EventStream(_stream(head, choices, usage if wants_usage else None))
    return json_document({**head, "choices": choices, "usage": usage})


def _stream(head: JsonObject, choices: list[JsonObject], usage: JsonObject | None) -> Iterator[bytes]:
    for choice in choices:
        for word in split_words(choice["text"]):
            yield event({**head, "choices": [_choice(choice["index"], word, None)]})
        yield event({**head, "choices": [choice | {"text": ""}]})
    if usage is not None:
        yield event({**head, "choices": [], "usage": usage})
    yield DONE


def _choice(index: int, text: str, finish: str | None) -> JsonObject:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
