"""Requests and answers of all three APIs, read as a conversation."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.capture.answer import of_answer
from proxy.capture.conversation import CHAT, MESSAGES, RESPONSES, of_request
from proxy.capture.media import MediaList

PNG = "iVBORw0KGgo="


def asked(api: str, fields: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(each["role"], each["parts"]) for each in of_request(api, fields, MediaList())]


def answered(api: str, body: bytes) -> list[dict[str, Any]]:
    return [part for each in of_answer(api, body, MediaList()) for part in each["parts"]]


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in values)


def call(name: str, arguments: str, call_id: str = "c1") -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def result(*parts: dict[str, Any], is_error: bool = False) -> dict[str, Any]:
    return {"type": "tool_result", "id": "c1", "parts": list(parts), "is_error": is_error}


def test_a_chat_is_read() -> None:
    tool_call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "input_audio", "input_audio": {}}]},
        {"role": "assistant", "content": None, "reasoning_content": "Hm", "tool_calls": [tool_call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ]

    assert asked(CHAT, {"messages": messages}) == [
        ("system", [text("Be brief.")]),
        (
            "user",
            [text("Look"), {"type": "other", "name": "input_audio", "text": json.dumps(messages[1]["content"][1])}],
        ),
        ("assistant", [{"type": "reasoning", "text": "Hm"}, call("look", '{"at": 1}')]),
        ("tool", [result(text("a cat"))]),
    ]


def test_responses_are_read() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
    ]

    assert asked(RESPONSES, {"instructions": "Be brief.", "input": items}) == [
        ("system", [text("Be brief.")]),
        ("user", [text("Look")]),
        ("assistant", [{"type": "reasoning", "text": "Hm"}]),
        ("assistant", [call("look", "{}")]),
        ("tool", [result(text("a cat"))]),
    ]
    assert asked(RESPONSES, {"input": "Hi"}) == [("user", [text("Hi")])]


def test_claudes_messages_are_read() -> None:
    failed = {"type": "tool_result", "tool_use_id": "c1", "is_error": True, "content": [{"type": "text", "text": "no"}]}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": "Look"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}]},
        {"role": "user", "content": [failed]},
    ]

    [system, user, assistant, tool] = asked(
        MESSAGES, {"system": [{"type": "text", "text": "Be"}], "messages": messages}
    )

    assert system == ("system", [text("Be")])
    assert user[1][0]["media_type"] == "image/png"
    assert user[1][1] == text("Look")
    assert assistant == ("assistant", [call("look", '{"at": 1}')])
    assert tool == ("user", [result(text("no"), is_error=True)])


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


CHAT_STREAM = events(
    chunk(role="assistant", content=""),
    chunk(reasoning_content="Let me "),
    chunk(reasoning_content="see"),
    chunk(content="Hel"),
    chunk(content="lo"),
    chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"at"'}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
)
RESPONSES_STREAM = events(
    {"type": "response.created", "response": {"output": []}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Let me "},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "see"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Hel"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "lo"},
    {
        "type": "response.output_item.added",
        "output_index": 2,
        "item": {"type": "function_call", "call_id": "c1", "name": "look", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"at"'},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": ": 1}"},
)
MESSAGES_STREAM = events(
    {"type": "message_start", "message": {"content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "see"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "c1", "name": "look", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"at"'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 1}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
)
STREAMS = [(CHAT, CHAT_STREAM), (RESPONSES, RESPONSES_STREAM), (MESSAGES, MESSAGES_STREAM)]
WHOLE = [{"type": "reasoning", "text": "Let me see"}, text("Hello"), call("look", '{"at": 1}')]


@pytest.mark.parametrize(("api", "stream"), STREAMS)
def test_a_stream_is_put_together(api: str, stream: bytes) -> None:
    assert answered(api, stream) == WHOLE


@pytest.mark.parametrize(("api", "stream"), STREAMS)
def test_any_beginning_of_a_stream_is_read(api: str, stream: bytes) -> None:
    for length in range(0, len(stream), 7):
        said = answered(api, stream[:length])
        for part, whole in zip(said, WHOLE, strict=False):
            assert part["type"] == whole["type"]
            assert whole.get("text", "").startswith(part.get("text", ""))


def test_the_last_event_of_responses_holds_all() -> None:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}]
    last = {"type": "response.completed", "response": {"status": "completed", "output": output}}

    assert answered(RESPONSES, RESPONSES_STREAM + events(last)) == [text("Hello")]


@pytest.mark.parametrize(
    ("api", "body", "parts"),
    [
        (CHAT, {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}, [text("Hello")]),
        (MESSAGES, {"content": [{"type": "text", "text": "Hello"}]}, [text("Hello")]),
        (
            RESPONSES,
            {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]},
            [text("Hi")],
        ),
        (CHAT, {"error": {"message": "no"}}, [{"type": "error", "text": "no"}]),
    ],
)
def test_a_whole_answer_is_read(api: str, body: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    assert answered(api, json.dumps(body).encode()) == parts


def test_an_error_within_a_stream_is_shown() -> None:
    stream = events(chunk(content="Hel"), {"error": {"message": "it broke"}})

    assert answered(CHAT, stream) == [text("Hel"), {"type": "error", "text": "it broke"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "messages",
                        "input",
                        "content",
                        "role",
                        "type",
                        "text",
                        "tool_calls",
                        "function",
                        "name",
                        "system",
                    ),
                    *("choices", "delta", "output", "error", "source", "image_url", "url", "index", "response", "item"),
                    *("content_block", "arguments", "data", "file", "input_audio", "tools", "usage", "output_index"),
                ]
            ),
            inner
            | st.sampled_from(
                [
                    *("text", "image_url", "tool_result", "tool_use", "message", "function_call", "reasoning", "tool"),
                    *("content_block_start", "content_block_delta", "response.completed", "input_audio", "document"),
                ]
            ),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.sampled_from([CHAT, RESPONSES, MESSAGES]), st.dictionaries(st.sampled_from(["messages", "input"]), JSON))
@settings(max_examples=200)
def test_no_request_breaks_it(api: str, fields: dict[str, Any]) -> None:
    json.dumps(asked(api, fields))


@given(st.sampled_from([CHAT, RESPONSES, MESSAGES]), st.lists(JSON, max_size=4), st.booleans())
@settings(max_examples=200)
def test_no_answer_breaks_it(api: str, values: list[Any], is_stream: bool) -> None:
    bodies = [json.dumps(value).encode() for value in values]
    json.dumps(answered(api, b"".join(b"data: %b\n\n" % body for body in bodies) if is_stream else b"".join(bodies)))
