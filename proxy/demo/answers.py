"""What the demo answers to a chat or a responses request: a text, or calls of the client's tools."""

import json
from dataclasses import dataclass
from itertools import takewhile

from proxy.demo.body import JsonObject, read_nested, read_objects
from proxy.demo.prompt_cache import Counted, PromptCache
from proxy.demo.texts import count_tokens, cut_to_tokens, greeting, report_results
from proxy.demo.tools import ToolCall, choose_calls, offered_tools, sample_value


@dataclass(frozen=True)
class Answer:
    """A text, or calls; `finish` is the chat API's word for why it ended."""

    text: str
    calls: list[ToolCall]
    finish: str
    prompt: Counted

    @property
    def tokens(self) -> int:
        """Return how many tokens the answer counts."""
        return count_tokens(self.text + "".join(call.name + call.arguments for call in self.calls))


def answer(
    body: JsonObject, items: list[JsonObject], cache: PromptCache, *, text_format: object, most_tokens: int | None
) -> Answer:
    """Answer chat messages, or the input items of the Responses API: the user's last words, or the results after them.

    `text_format` is the form that was asked for (`response_format`, `text.format`).
    """
    before = [body[name] for name in ("tools", "instructions", "system") if body.get(name)]
    prompt = cache.count(str(body.get("model")), [*before, *map(_counted_text, items)])
    said = _text_of(next((item for item in reversed(items) if item.get("role") == "user"), items[-1]))
    if results := [_text_of(item) for item in takewhile(_is_result, reversed(items))]:
        text = report_results(results[::-1])
    elif calls := choose_calls(body, said):
        return Answer("", calls, "tool_calls", prompt)
    else:
        text = greeting(said, list(offered_tools(body)))
    text, finish = cut_to_tokens(_format(text, said, read_nested(text_format)), most_tokens)
    return Answer(text, [], finish, prompt)


def _is_result(item: JsonObject) -> bool:
    return item.get("role") == "tool" or item.get("type") == "function_call_output"


def _text_of(item: JsonObject) -> str:
    content = item.get("content") or item.get("output")
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in read_objects(content) if isinstance(part.get("text"), str))


def _counted_text(item: JsonObject) -> str:
    """Return what counts of an item: its text, and the calls in it."""
    calls = item.get("tool_calls") or item.get("arguments")
    return _text_of(item) + (json.dumps(calls) if calls else "")


def _format(text: str, said: str, wanted: JsonObject) -> str:
    if wanted.get("type") == "json_object":
        return json.dumps({"demo": True, "you_said": said, "message": text})
    if wanted.get("type") == "json_schema":
        # A chat keeps the schema one level deeper than the Responses API.
        schema = (read_nested(wanted.get("json_schema")) or wanted).get("schema")
        return json.dumps(sample_value(read_nested(schema), iter(())))
    return text
