"""The Responses API of the demo upstream through the official SDK."""

import json
from collections.abc import Callable
from typing import Any

import openai

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: Any = {"type": "function", "name": "get_time", "strict": False, "parameters": {"type": "object"}}


def test_an_input_is_answered(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    response = client.responses.create(model="any-model", input="Hello you", instructions="Be brief.")

    check_shape(response)
    assert "demo upstream" in response.output_text
    assert "“Hello you”" in response.output_text
    assert (response.status, response.model, response.instructions) == ("completed", "any-model", "Be brief.")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_an_input_may_be_a_list_of_parts(client: openai.OpenAI) -> None:
    parts: Any = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "x", "detail": "auto"}]

    text = client.responses.create(model="demo-chat", input=[{"role": "user", "content": parts}]).output_text

    assert "“Look”" in text


def test_a_stream_keeps_the_order_of_events(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    events = list(client.responses.create(model="demo-chat", input="Hello", stream=True))

    for event in events:
        check_shape(event)
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1]
    assert final.type == "response.completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.response.output_text


def test_an_answer_that_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="demo-chat", input="Hello", max_output_tokens=4)
    last = list(client.responses.create(model="demo-chat", input="Hello", max_output_tokens=4, stream=True))[-1]

    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert last.type == "response.incomplete"


def test_tools_are_called_and_their_results_quoted(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    items: Any = [{"role": "user", "content": "get_weather Oslo, get_time"}]
    asked = client.responses.create(model="demo-tools", input=items, tools=[CLOCK, WEATHER])
    check_shape(asked)
    calls = [item for item in asked.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("get_time", {}),
        ("get_weather", {"city": "Oslo"}),
    ]
    items += [call.to_dict() for call in calls]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]

    answered = client.responses.create(model="demo-tools", input=items, tools=[CLOCK, WEATHER])

    assert "“rain” and “rain”" in answered.output_text


def test_a_forced_tool_is_streamed(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    choice: Any = {"type": "function", "name": "get_weather"}
    events = list(
        client.responses.create(
            model="demo-tools", input="Hello", tools=[CLOCK, WEATHER], tool_choice=choice, stream=True
        )
    )

    for event in events:
        check_shape(event)
    added, done = events[2], events[-2]
    assert added.type == "response.output_item.added"
    assert done.type == "response.output_item.done"
    assert added.item.type == done.item.type == "function_call"
    assert (added.item.arguments, json.loads(done.item.arguments)) == ("", {"city": "demo"})
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == done.item.arguments


def test_json_can_be_asked_for(client: openai.OpenAI) -> None:
    text = client.responses.create(
        model="demo-chat", input="Hello", text={"format": {"type": "json_object"}}
    ).output_text

    assert json.loads(text)["you_said"] == "Hello"
