"""POST /v1/chat/completions."""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.upstream.demo.asgi import EventStream, Reply, Request
from proxy.upstream.demo.body import (
    JsonObject,
    json_document,
    read_count,
    read_model,
    read_nested,
    read_object,
    read_objects,
    read_strings,
)
from proxy.upstream.demo.conversation import Answer, answer, read_conversation
from proxy.upstream.demo.problems import missing_parameter
from proxy.upstream.demo.sse import DONE, event
from proxy.upstream.demo.texts import TOKENS_LIMIT, new_id, now, split_arguments, split_words
from proxy.upstream.demo.tool_calls import ToolCall, read_toolbox
from proxy.upstream.demo.usage import completion_usage

CHOICES_LIMIT = 8


@dataclass(frozen=True)
class Completion:
    """The answers to one request, and what stands above them."""

    id: str
    created: int
    model: str
    answers: tuple[Answer, ...]
    prompt_tokens: int

    def head(self, kind: str) -> JsonObject:
        """Return the fields every object of this completion begins with."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
        }

    def usage(self) -> JsonObject:
        """Return the usage numbers of all choices together."""
        return completion_usage(self.prompt_tokens, sum(choice.tokens for choice in self.answers))


def create_chat_completion(request: Request) -> Reply:
    """Answer a chat, whole or as a stream."""
    body = read_object(request)
    completion = _complete(body)
    if body.get("stream") is True:
        wants_usage = read_nested(body.get("stream_options")).get("include_usage") is True
        return EventStream(_stream(completion, wants_usage=wants_usage))
    choices = [_choice(index, choice) for index, choice in enumerate(completion.answers)]
    return json_document({**completion.head("chat.completion"), "choices": choices, "usage": completion.usage()})


def _complete(body: JsonObject) -> Completion:
    model = read_model(body)
    messages = read_objects(body.get("messages"))
    if not messages:
        raise missing_parameter("messages")
    conversation = read_conversation(messages)
    toolbox = read_toolbox(body)
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    most_tokens = read_count(body, limit, default=TOKENS_LIMIT, most=TOKENS_LIMIT)
    answers = tuple(
        answer(
            conversation,
            toolbox,
            json_format=body.get("response_format"),
            most_tokens=most_tokens,
            stops=read_strings(body.get("stop")),
        )
        for _ in range(read_count(body, "n", default=1, most=CHOICES_LIMIT))
    )
    return Completion(new_id("chatcmpl-"), now(), model, answers, conversation.prompt_tokens)


def _choice(index: int, choice: Answer) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.calls:
        message |= {"content": None, "tool_calls": [_tool_call(call) for call in choice.calls]}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish}


def _tool_call(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _stream(completion: Completion, *, wants_usage: bool) -> Iterator[bytes]:
    head = completion.head("chat.completion.chunk") | ({"usage": None} if wants_usage else {})
    for index, choice in enumerate(completion.answers):
        for delta in _deltas(choice):
            yield event({**head, "choices": [_delta_choice(index, delta, None)]})
        yield event({**head, "choices": [_delta_choice(index, {}, choice.finish)]})
    if wants_usage:
        yield event({**head, "choices": [], "usage": completion.usage()})
    yield DONE


def _deltas(choice: Answer) -> Iterator[JsonObject]:
    yield {"role": "assistant", "content": None if choice.calls else "", "refusal": None}
    for word in split_words(choice.text):
        yield {"content": word}
    for index, call in enumerate(choice.calls):
        opening = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **opening}]}
        for piece in split_arguments(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _delta_choice(index: int, delta: JsonObject, finish: str | None) -> JsonObject:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
