"""What a chat or responses request says, and the demo's answer to it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.upstream.demo.body import JsonObject, read_nested, read_objects
from proxy.upstream.demo.samples import sample_value
from proxy.upstream.demo.texts import count_tokens, cut_to_tokens, greeting, report_results
from proxy.upstream.demo.tool_calls import Toolbox, ToolCall

TEXT_PARTS = {"text", "input_text", "output_text"}
IMAGE_PARTS = {"image_url", "input_image"}


@dataclass(frozen=True)
class Conversation:
    """The part of a request the demo answers to: the last words of the user's, or the tool results after them."""

    said: str
    images: int
    results: tuple[str, ...]
    prompt_tokens: int


@dataclass(frozen=True)
class Answer:
    """What the demo answers: a text, or calls; `finish` is the chat API's word for why it ended."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: str

    @property
    def tokens(self) -> int:
        """Return how many tokens the answer counts."""
        return count_tokens(self.text + "".join(call.name + call.arguments for call in self.calls))


def read_conversation(items: Sequence[JsonObject]) -> Conversation:
    """Read chat messages, or the input items of the Responses API."""
    results: list[str] = []
    for item in reversed(items):
        if item.get("role") != "tool" and item.get("type") != "function_call_output":
            break
        results.insert(0, _read_content(item.get("content") or item.get("output"))[0])
    asked = next((item for item in reversed(items) if item.get("role") == "user"), items[-1] if items else {})
    said, images = _read_content(asked.get("content"))
    everything = "".join(_read_content(item.get("content") or item.get("output"))[0] for item in items)
    return Conversation(said, images, tuple(results), count_tokens(everything))


def answer(
    conversation: Conversation,
    toolbox: Toolbox,
    *,
    json_format: object = None,
    most_tokens: int | None = None,
    stops: Sequence[str] = (),
) -> Answer:
    """Answer a conversation; `json_format` is the `response_format` or `text.format` that was asked for."""
    if conversation.results:
        text = report_results(list(conversation.results))
    elif calls := toolbox.choose_calls(conversation.said):
        return Answer("", tuple(calls), "tool_calls")
    else:
        names = [] if toolbox.mode == "none" else [tool.name for tool in toolbox.tools]
        text = greeting(conversation.said, conversation.images, names)
    text = _format(text, conversation, read_nested(json_format))
    for stop in stops:
        text = text.partition(stop)[0] if stop else text
    text, was_cut = cut_to_tokens(text, most_tokens)
    return Answer(text, (), "length" if was_cut else "stop")


def _format(text: str, conversation: Conversation, wanted: JsonObject) -> str:
    if wanted.get("type") == "json_object":
        return json.dumps({"demo": True, "you_said": conversation.said, "message": text})
    if wanted.get("type") == "json_schema":
        # The chat API keeps the schema one level deeper than the Responses API.
        schema = (read_nested(wanted.get("json_schema")) or wanted).get("schema")
        return json.dumps(sample_value(schema, iter(())))
    return text


def _read_content(content: object) -> tuple[str, int]:
    if isinstance(content, str):
        return content, 0
    parts = read_objects(content)
    texts = [str(part.get("text") or "") for part in parts if part.get("type") in TEXT_PARTS]
    return " ".join(texts), sum(part.get("type") in IMAGE_PARTS for part in parts)
