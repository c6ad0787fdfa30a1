"""Chatting with the demo upstream through the official SDK."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from proxy.demo.texts import split_words

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer"},
                "note": {"type": "string"},
            },
            "required": ["city", "unit", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


def ask(client: openai.OpenAI, text: Any, **parameters: Any) -> Any:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return client.chat.completions.create(model="any-model", messages=messages, **parameters)


def text_of(chunks: Iterable[ChatCompletionChunk]) -> str:
    choices = (choice for chunk in chunks for choice in chunk.choices)
    return "".join(choice.delta.content or "" for choice in choices)


def test_a_chat_is_answered_by_a_text_that_says_demo(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    completion = ask(client, "Hello you")

    check_shape(completion)
    choice = completion.choices[0]
    assert "demo upstream" in choice.message.content
    assert "“Hello you”" in choice.message.content
    assert (completion.model, choice.finish_reason, choice.message.role) == ("any-model", "stop", "assistant")
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens == len(choice.message.content) // 4


def test_a_stream_says_the_same_word_by_word(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    whole = ask(client, "Hello you").choices[0].message.content

    chunks = list(ask(client, "Hello you", stream=True))

    for chunk in chunks:
        check_shape(chunk)
    assert text_of(chunks) == whole
    assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices[0].delta.role] == ["assistant"]
    assert chunks[0].choices[0].delta.content == ""
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len(chunks) == len(split_words(whole)) + 2
    assert all("usage" not in chunk.to_dict() for chunk in chunks)


def test_usage_is_streamed_only_when_asked_for(client: openai.OpenAI) -> None:
    chunks = list(ask(client, "Hello", stream=True, stream_options={"include_usage": True}))

    *others, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert all(chunk.usage is None and chunk.choices for chunk in others)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_at_the_limit(client: openai.OpenAI, name: str) -> None:
    completion = ask(client, "Hello", **{name: 3})

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3
    chunks = list(ask(client, "Hello", stream=True, **{name: 3}))
    assert text_of(chunks) == completion.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_message_may_be_a_list_of_parts(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    text = ask(client, [{"type": "text", "text": "Look"}, image]).choices[0].message.content

    assert "“Look”" in text


def test_json_mode_answers_json(client: openai.OpenAI) -> None:
    content = ask(client, "Hello", response_format={"type": "json_object"}).choices[0].message.content

    assert json.loads(content)["you_said"] == "Hello"


def test_a_json_schema_is_kept(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}}},
        "required": ["ok", "steps"],
        "$defs": {"step": {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 5}]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "plan", "schema": schema}}

    assert json.loads(ask(client, "Plan", response_format=wanted).choices[0].message.content) == {
        "ok": True,
        "steps": [5],
    }


def test_a_tool_mentioned_by_name_is_called(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    completion = ask(client, "Please use get_weather for Paris now", tools=[CLOCK, WEATHER])

    check_shape(completion)
    choice = completion.choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content, call.type) == ("tool_calls", None, "function")
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris", "unit": "celsius", "days": 1}


def test_two_tools_mentioned_are_called_in_parallel(client: openai.OpenAI) -> None:
    text = "get_time and get_weather Rome"

    calls = ask(client, text, tools=[CLOCK, WEATHER]).choices[0].message.tool_calls
    single = ask(client, text, tools=[CLOCK, WEATHER], parallel_tool_calls=False).choices[0].message.tool_calls

    assert [call.function.name for call in calls] == ["get_time", "get_weather"]
    assert len({call.id for call in calls}) == 2
    assert len(single) == 1


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("use a tool", "auto", ["get_time"]),
        ("use a tool", "none", None),
        ("get_weather", "none", None),
        ("nothing special", "auto", None),
        ("nothing special", "required", ["get_time"]),
        ("nothing special", {"type": "function", "function": {"name": "get_weather"}}, ["get_weather"]),
    ],
)
def test_the_choice_of_tools_is_respected(
    client: openai.OpenAI, text: str, choice: Any, called: list[str] | None
) -> None:
    calls = ask(client, text, tools=[CLOCK, WEATHER], tool_choice=choice).choices[0].message.tool_calls

    assert (calls and [call.function.name for call in calls]) == called


def test_a_tool_that_is_not_offered_cannot_be_forced(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not found in 'tools'"):
        ask(client, "Hello", tools=[CLOCK], tool_choice={"type": "function", "function": {"name": "absent"}})


def test_the_result_of_a_tool_is_quoted(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "get_weather Oslo and get_time"}]
    tools: Any = [CLOCK, WEATHER]
    asked = client.chat.completions.create(model="demo-tools", messages=messages, tools=tools).choices[0].message
    assert asked.tool_calls is not None
    messages.append(asked)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {number}"}
        for number, call in enumerate(asked.tool_calls)
    ]

    answered = client.chat.completions.create(model="demo-tools", messages=messages, tools=tools).choices[0]

    assert answered.finish_reason == "stop"
    assert answered.message.content is not None
    assert "“result 0” and “result 1”" in answered.message.content


def test_streamed_calls_come_id_and_name_first(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    chunks = list(ask(client, "get_weather Lima, get_time", tools=[CLOCK, WEATHER], stream=True))

    for chunk in chunks:
        check_shape(chunk)
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    for index, name in enumerate(["get_time", "get_weather"]):
        first, *rest = [delta for delta in deltas if delta.index == index]
        assert (first.function.name, first.function.arguments, bool(first.id)) == (name, "", True)
        assert all(delta.id is None and delta.function.name is None for delta in rest)
    arguments = "".join(delta.function.arguments for delta in deltas if delta.index == 1)
    assert json.loads(arguments) == {"city": "Lima", "unit": "celsius", "days": 1}
    assert (chunks[0].choices[0].delta.content, chunks[-1].choices[0].finish_reason) == (None, "tool_calls")


def test_the_sdk_puts_a_streamed_call_together(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "get_weather Lima"}]
    tools: Any = [WEATHER]
    with client.chat.completions.stream(model="demo-tools", messages=messages, tools=tools) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls

    assert calls is not None
    assert json.loads(calls[0].function.arguments)["city"] == "Lima"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0},
    ],
)
def test_a_chat_without_its_parts_is_refused(client: openai.OpenAI, body: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body=body, cast_to=object)

    assert caught.value.type == "invalid_request_error"
