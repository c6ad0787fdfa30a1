"""The fault table's rows on answers to stream:true that are no streams, and on errors sent as a success."""

from typing import Any

import openai
import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Content,
    Html,
    Json,
    ShortBody,
    completion,
)
from fakes.shared_upstream import Fresh
from fakes.streaming import (
    CHAT,
    DONE,
    SDKS,
    STREAM,
    UNFINISHED,
    bytes_of,
    read_with_sdk,
    stream,
    told_error,
)

# --- JSON answered to stream:true -------------------------------------------------------------------------------------

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.core
@pytest.mark.parametrize("kind", SDKS)
def test_a_completion_answered_to_a_stream_becomes_chunks(proxy: RunningProxy, upstream: Fresh, kind: str) -> None:
    upstream.answer(Json(completion("Hello there.")))
    chunks = read_with_sdk(proxy.base_url, kind)
    choices = [chunk["choices"][0] for chunk in chunks]

    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-scripted", "chat.completion.chunk", "gpt-test")
    }
    assert choices[0]["delta"] == {"role": "assistant", "content": "Hello there."}
    assert [choice["finish_reason"] for choice in choices] == [None, "stop"]
    assert "usage" not in chunks[-1]


def test_a_completion_answered_to_a_stream_ends_with_done(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    reply = stream(proxy)

    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert reply.body.endswith(DONE)
    assert reply.body.count(b"[DONE]") == 1


@pytest.mark.parametrize("kind", SDKS)
def test_its_usage_is_the_last_chunk_where_the_client_asked_for_it(
    proxy: RunningProxy, upstream: Fresh, kind: str
) -> None:
    upstream.answer(Json(completion("Hello")))
    last = read_with_sdk(proxy.base_url, kind, stream_options={"include_usage": True})[-1]

    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 12)


def test_tool_calls_answered_to_a_stream_are_numbered(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion("", tool_calls=[CALL, {**CALL, "id": "call_2"}])))
    first, last = (chunk["choices"][0] for chunk in read_with_sdk(proxy.base_url, "sync"))

    assert first["delta"]["tool_calls"] == [{"index": 0, **CALL}, {"index": 1, **CALL, "id": "call_2"}]
    assert last["finish_reason"] == "tool_calls"


def test_a_completion_without_its_finish_is_not_given_one(proxy: RunningProxy, upstream: Fresh) -> None:
    unfinished = completion("Hello")
    unfinished["choices"][0]["finish_reason"] = None
    upstream.answer(Json(unfinished))
    body = stream(proxy).body

    assert b"upstream_truncated" in body
    assert b"[DONE]" not in body


def test_an_older_completion_answered_to_a_stream_becomes_chunks(proxy: RunningProxy, upstream: Fresh) -> None:
    choice = {"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "length"}
    upstream.answer(Json({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}))
    with proxy.sdk() as sdk:
        chunks = list(sdk.completions.create(model="m", prompt="Hi", stream=True))

    assert [(chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks] == [
        ("Hello", None),
        ("", "length"),
    ]


def test_a_response_answered_to_a_stream_becomes_events(proxy: RunningProxy, upstream: Fresh) -> None:
    part = {"type": "output_text", "text": "Hello", "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None}
    upstream.answer(Json({**whole, "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}))
    with proxy.sdk() as sdk, sdk.responses.stream(model="m", input="Hi") as events:
        final = events.get_final_response()

    assert (final.status, final.output_text) == ("completed", "Hello")


NO_STREAMS: dict[str, Answer] = {
    "a page": Html(),
    "JSON of something else": Json({"object": "list", "data": []}),
    "JSON that breaks off": Content(b'{"id":"1","choices":[', "application/json"),
}


@pytest.mark.core
@pytest.mark.parametrize("answer", NO_STREAMS.values(), ids=NO_STREAMS)
def test_what_is_no_answer_to_a_stream_is_a_502(proxy: RunningProxy, upstream: Fresh, answer: Answer) -> None:
    upstream.answer(answer)
    reply = stream(proxy)

    assert (reply.status, reply.error["code"]) == (502, "upstream_invalid_response")


def test_a_short_completion_answered_to_a_stream_is_a_502(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(ShortBody(completion("Hello")))
    reply = stream(proxy)

    assert (reply.status, reply.error["code"]) == (502, "upstream_truncated")


def test_a_stream_under_another_content_type_is_watched_too(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Content(bytes_of(*UNFINISHED), "text/plain"))

    assert told_error(stream(proxy), bytes_of(*UNFINISHED))["code"] == "upstream_truncated"


# --- 200 with an error inside -----------------------------------------------------------------------------------------

DISGUISED: dict[str, tuple[Any, int, str]] = {
    "an error": ({"error": {"message": "overloaded", "type": "t", "param": None, "code": "own"}}, 502, "own"),
    "with its status as code": ({"error": {"message": "slow down", "code": 429}}, 429, "429"),
    "with its status as text": ({"error": {"message": "no", "code": "404"}}, 404, "404"),
    "with its status beside": ({"error": {"message": "no", "code": None}, "status": 503}, 503, "None"),
    "a text": ({"error": "model not found"}, 502, "upstream_error"),
    "an error object": ({"object": "error", "message": "no such model", "code": 404}, 404, "404"),
}


@pytest.mark.core
@pytest.mark.parametrize("body", [STREAM, STREAM.replace(b"true", b"false")], ids=["streamed", "plain"])
@pytest.mark.parametrize(("value", "status", "code"), DISGUISED.values(), ids=DISGUISED)
def test_an_error_sent_as_a_success_has_an_errors_status(
    proxy: RunningProxy, upstream: Fresh, value: Any, status: int, code: str, body: bytes
) -> None:
    upstream.answer(Json(value))
    reply = stream(proxy, CHAT, body)

    assert (reply.status, str(reply.json()["error"].get("code"))) == (status, code)
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize("kind", SDKS)
def test_an_sdk_raises_at_an_error_sent_as_a_success(proxy: RunningProxy, upstream: Fresh, kind: str) -> None:
    upstream.answer(Json({"error": {"message": "slow down", "code": 429}}))
    with pytest.raises(openai.RateLimitError):
        read_with_sdk(proxy.base_url, kind)


RESULTS: dict[str, Any] = {
    "a failed response": {"id": "r", "object": "response", "status": "failed", "error": {"code": "x"}, "output": []},
    "a completion that speaks of an error": completion('"error":{"message":"no"}'),
    "an empty error": {**completion("Hi"), "error": None},
}


@pytest.mark.parametrize("value", RESULTS.values(), ids=RESULTS)
def test_a_result_that_holds_the_word_error_stays_a_success(proxy: RunningProxy, upstream: Fresh, value: Any) -> None:
    upstream.answer(Json(value))
    reply = stream(proxy, CHAT, STREAM.replace(b"true", b"false"))

    assert (reply.status, reply.json()) == (200, value)
