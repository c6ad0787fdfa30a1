"""The fault table's rows on streams: no truncated, stalled or broken stream ever looks complete to a client."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from fakes.asking import wait_until
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Chunk,
    Content,
    Delayed,
    EndHead,
    Fin,
    Flood,
    Header,
    HeadThenStall,
    Html,
    Json,
    LingerAfterDone,
    Pause,
    Raw,
    Reset,
    Script,
    ScriptedUpstream,
    ShortBody,
    Sse,
    Stall,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect, proxy_before
from fakes.streaming import (
    CHAT,
    DONE,
    RESPONSES,
    STREAM,
    TEXTS,
    bytes_of,
    read_with_sdk,
    response_events,
    stream,
    told_error,
)
from fakes.wire_client import JSON_TYPE

SDKS = ["sync", "async"]
UNFINISHED = completion_chunks("Hel", "lo", finish=None)
FINISHED = completion_chunks("Hel", "lo")
HALF = b'data: {"choices":[{"index":0,"delta":{"content":"never sho'

# --- stream dies midway; stream ends cleanly without finish_reason ----------------------------------------------------

CUT: dict[str, Answer] = {
    "closed": Sse(UNFINISHED, done=False, end=Fin()),
    "reset": Sse(UNFINISHED, done=False, end=Reset()),
    "ended properly": Sse(UNFINISHED, done=False),
    "ended with its connection": Sse(UNFINISHED, done=False, chunked=False),
    "ended with [DONE]": Sse(UNFINISHED),
    "closed within an event": Sse([*UNFINISHED, HALF], done=False, end=Fin()),
    "reset within an event": Sse([*UNFINISHED, HALF], done=False, end=Reset()),
    "ended within an event": Sse([*UNFINISHED, HALF], done=False),
    "one of two choices finished": Sse([*UNFINISHED, {"choices": [{"index": 1, "finish_reason": "stop"}]}]),
    "an empty finish_reason": Sse([*UNFINISHED, {"choices": [{"index": 0, "delta": {}, "finish_reason": ""}]}]),
    "a broken chunk": Script(
        [
            Header("Content-Type", "text/event-stream"),
            EndHead(chunked=True),
            Chunk(bytes_of(*UNFINISHED)),
            Pause(0.05),
            Raw(b"zz\r\nno chunk"),
            Fin(),
        ]
    ),
    "nothing at all": Sse([], done=False),
    "nothing but [DONE]": Sse([]),
}


def events_of(answer: Answer) -> bytes:
    """Return the whole events of a scripted stream."""
    events = answer.events if isinstance(answer, Sse) else UNFINISHED
    return bytes_of(*(event for event in events if event is not HALF))


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, TEXTS])
@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_a_stream_that_is_cut_short_ends_with_an_error_event_and_no_done(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, path: str
) -> None:
    upstream.answer(answer)
    reply = stream(proxy, path)

    assert told_error(reply, events_of(answer))["code"] == "upstream_truncated"
    assert b"[DONE]" not in reply.body
    assert b"never sho" not in reply.body


@pytest.mark.core
@pytest.mark.parametrize("kind", SDKS)
@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_an_sdk_raises_where_a_stream_is_cut_short(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, kind: str
) -> None:
    upstream.answer(answer)
    with pytest.raises(openai.APIError) as caught:
        read_with_sdk(proxy.base_url, kind)

    assert caught.value.code == "upstream_truncated"


RESPONSES_CUT: dict[str, Answer] = {
    "closed": Sse(response_events("Hi", last=None), done=False, end=Fin()),
    "reset": Sse(response_events("Hi", last=None), done=False, end=Reset()),
    "ended properly": Sse(response_events("Hi", last=None), done=False),
    "ended with [DONE]": Sse(response_events("Hi", last=None)),
}


@pytest.mark.core
@pytest.mark.parametrize("answer", RESPONSES_CUT.values(), ids=RESPONSES_CUT)
def test_a_response_that_is_cut_short_ends_with_that_apis_error_event(
    proxy: RunningProxy, upstream: Fresh, answer: Answer
) -> None:
    upstream.answer(answer)
    error = told_error(stream(proxy, RESPONSES), b"".join(response_events("Hi", last=None)), RESPONSES)

    assert (error["code"], error["sequence_number"]) == ("upstream_truncated", 2)


def test_a_response_that_is_taken_up_again_and_cut_short_is_told_too(proxy: RunningProxy, upstream: Fresh) -> None:
    events = response_events("Hi", last=None)
    upstream.answer(Sse(events, done=False))
    with connect(proxy) as client:
        reply = client.ask("GET", f"{RESPONSES}/resp_1?stream=true&starting_after=0")

    assert told_error(reply, b"".join(events), RESPONSES)["code"] == "upstream_truncated"


def test_the_error_event_of_a_long_response_has_the_next_number(proxy: RunningProxy, upstream: Fresh) -> None:
    events = response_events(*(f"word{number} " for number in range(100)), last=None)
    upstream.answer(Sse(events, done=False, end=Fin()))

    assert told_error(stream(proxy, RESPONSES), b"".join(events), RESPONSES)["sequence_number"] == 101


def test_an_sdk_raises_for_a_response_that_is_cut_short(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(response_events("Hi", last=None), done=False))
    with proxy.sdk() as sdk:
        events = sdk.responses.create(model="m", input="Hi", stream=True)

        assert [next(events).type for _ in range(2)] == ["response.created", "response.output_text.delta"]
        with pytest.raises(openai.APIError) as caught:
            next(events)
    assert caught.value.code == "upstream_truncated"


def test_a_cut_stream_is_a_warning_in_the_log(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answer(Sse(UNFINISHED, done=False))
    with caplog.at_level(logging.INFO):
        stream(proxy)
        wait_until(lambda: " POST /chat/completions " in caplog.text)

    [line] = [record for record in caplog.records if " POST /chat/completions " in record.getMessage()]
    assert line.levelno == logging.WARNING


def test_half_of_an_event_too_long_to_hold_back_does_not_look_complete(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([*UNFINISHED, b'data: {"choices":[{"delta":{"content":"' + b"x" * 200_000], done=False))

    with pytest.raises((EOFError, ConnectionError)):
        stream(proxy)


# --- finish_reason seen, no [DONE] ------------------------------------------------------------------------------------

WITHOUT_DONE: dict[str, Answer] = {
    "ended": Sse(FINISHED, done=False),
    "closed": Sse(FINISHED, done=False, end=Fin()),
    "reset": Sse(FINISHED, done=False, end=Reset()),
    "ended with its connection": Sse(FINISHED, done=False, chunked=False),
    "[DONE] without its blank line": Sse([*FINISHED, b"data: [DONE]"], done=False),
}


@pytest.mark.core
@pytest.mark.parametrize("answer", WITHOUT_DONE.values(), ids=WITHOUT_DONE)
def test_done_is_appended_where_every_choice_has_finished(proxy: RunningProxy, upstream: Fresh, answer: Answer) -> None:
    upstream.answer(answer)

    assert stream(proxy).body == bytes_of(*FINISHED) + DONE


def test_a_last_event_without_its_blank_line_is_completed(proxy: RunningProxy, upstream: Fresh) -> None:
    *begun, last = FINISHED
    upstream.answer(Sse([*begun, f"data: {json.dumps(last)}".encode()], done=False))

    assert stream(proxy).body == bytes_of(*FINISHED) + DONE


def test_a_break_before_the_usage_a_client_asked_for_is_told(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(FINISHED, done=False, end=Fin()))
    body = STREAM.replace(b'"stream":true', b'"stream":true,"stream_options":{"include_usage":true}')

    assert told_error(stream(proxy, CHAT, body), bytes_of(*FINISHED))["code"] == "upstream_truncated"


def test_an_end_without_the_usage_a_client_asked_for_is_an_end(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(FINISHED))
    body = STREAM.replace(b'"stream":true', b'"stream":true,"stream_options":{"include_usage":true}')

    assert stream(proxy, CHAT, body).body == bytes_of(*FINISHED) + DONE


# --- stream stalls ----------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_stream_that_stalls_ends_with_an_error_event(impatient: RunningProxy, upstream: Fresh, path: str) -> None:
    events = response_events("Hi", last=None) if path == RESPONSES else UNFINISHED
    upstream.answer(Sse(events, done=False, end=Stall()))
    reply = stream(impatient, path)

    assert told_error(reply, bytes_of(*events), path)["code"] == "upstream_timeout"
    assert upstream.wait_for_hangup()


@pytest.mark.parametrize("kind", SDKS)
def test_an_sdk_raises_where_a_stream_stalls(impatient: RunningProxy, upstream: Fresh, kind: str) -> None:
    upstream.answer(HeadThenStall())
    with pytest.raises(openai.APIError) as caught:
        read_with_sdk(impatient.base_url, kind)

    assert caught.value.code == "upstream_timeout"


# --- broken event JSON ------------------------------------------------------------------------------------------------

BROKEN: dict[str, bytes] = {
    "cut JSON": b'data: {"choices":[{"index":0,"delta":{"content":"x"}}\n\n',
    "no JSON": b"data: upstream overloaded\n\n",
    "a list": b"data: [1]\n\n",
    "no UTF-8": b'data: {"choices":[],"id":"\xff\xfe"}\n\n',
    "nested too deeply": b'data: {"a":' + b"[" * 50_000 + b"\n\n",
    "a broken event in CRLF": b'data: {"choices":\r\n\r\n',
}


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("event", BROKEN.values(), ids=BROKEN)
def test_a_broken_event_becomes_an_error_event(proxy: RunningProxy, upstream: Fresh, event: bytes, path: str) -> None:
    events = response_events("Hi", last=None) if path == RESPONSES else UNFINISHED
    upstream.answer(Sse([*events, event, *FINISHED], gap_s=0.005))
    reply = stream(proxy, path)

    assert told_error(reply, bytes_of(*events), path)["code"] == "upstream_invalid_event"


@pytest.mark.parametrize("kind", SDKS)
def test_an_sdk_raises_at_a_broken_event(proxy: RunningProxy, upstream: Fresh, kind: str) -> None:
    upstream.answer(Sse([*UNFINISHED, BROKEN["cut JSON"], *FINISHED]))
    with pytest.raises(openai.APIError) as caught:
        read_with_sdk(proxy.base_url, kind)

    assert caught.value.code == "upstream_invalid_event"


# --- [DONE] but the upstream lingers ----------------------------------------------------------------------------------


@pytest.mark.core
def test_after_done_the_answer_ends_though_the_upstream_lingers(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(LingerAfterDone(FINISHED))

    assert stream(proxy, limit_s=2).body == bytes_of(*FINISHED) + DONE
    assert upstream.wait_for_hangup()


def test_after_response_completed_the_answer_ends_though_the_upstream_lingers(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Sse(response_events("Hi"), done=False, end=Stall()))

    assert stream(proxy, RESPONSES, limit_s=2).body == b"".join(response_events("Hi"))
    assert upstream.wait_for_hangup()


def test_what_follows_done_is_not_passed_on(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([*FINISHED, "[DONE]", *FINISHED], cut=10_000))

    assert stream(proxy).body == bytes_of(*FINISHED) + DONE


def test_a_connection_whose_stream_has_ended_is_used_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(FINISHED, gap_s=0.002))
    for _ in range(5):
        stream(proxy)

    assert upstream.accepted_connections <= 1


# --- an error the upstream tells within its stream --------------------------------------------------------------------

ERRORS: dict[str, bytes] = {
    "an object": b'data: {"error":{"message":"overloaded","type":"x","code":"own"}}\n\n',
    "with a name": b'event: error\ndata: {"error":{"message":"overloaded","code":"own"}}\n\n',
    "with a name alone": b'event: error\ndata: {"message":"overloaded"}\n\n',
    "a text": b'data: {"error":"overloaded"}\n\n',
}


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("event", ERRORS.values(), ids=ERRORS)
def test_an_error_event_of_the_upstream_is_passed_on_and_not_judged_again(
    proxy: RunningProxy, upstream: Fresh, event: bytes, done: bool
) -> None:
    upstream.answer(Sse([*UNFINISHED, event], done=done))

    assert stream(proxy).body == bytes_of(*UNFINISHED, event) + (DONE if done else b"")


def test_a_response_that_tells_its_failure_is_passed_on(proxy: RunningProxy, upstream: Fresh) -> None:
    failed = response_events("Hi", last="response.failed")
    upstream.answer(Sse(failed, done=False))

    assert stream(proxy, RESPONSES).body == b"".join(failed)


def test_a_key_the_upstream_quotes_within_a_stream_is_not_in_the_answer(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([*UNFINISHED, {"error": {"message": f"bad key {UPSTREAM_KEY}"}}], done=False))
    body = stream(proxy).body

    assert b"bad key" in body
    assert UPSTREAM_KEY.encode() not in body


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


# --- what is whole comes through as it came ---------------------------------------------------------------------------

PLAIN = bytes_of(*FINISHED) + DONE
HEALTHY: dict[str, bytes] = {
    "plain": PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "CR": PLAIN.replace(b"\n", b"\r"),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "comments": b": OPENROUTER PROCESSING\n\n" + PLAIN.replace(b"data:", b": still here\n\ndata:"),
    "ids": PLAIN.replace(b"data:", b"id: 1\nretry: 5\ndata:"),
    "no space": PLAIN.replace(b"data: ", b"data:"),
    "usage with the finish": bytes_of(FINISHED[0], {**FINISHED[-1], "usage": {"total_tokens": 1}}) + DONE,
    "two choices": bytes_of(
        {"choices": [{"index": 1, "delta": {}, "finish_reason": None}]},
        *FINISHED,
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]},
    )
    + DONE,
    "a filter's word first": bytes_of({"choices": [], "prompt_filter_results": []}, *FINISHED) + DONE,
    "words after the finish": bytes_of(*FINISHED, {"choices": [{"index": 0, "content_filter_offsets": {}}]}) + DONE,
    "letters and escapes": bytes_of(*completion_chunks("Grüße 😀", '"}]\n\\', "\u2028", "data: [DONE]")) + DONE,
    "many": bytes_of(*completion_chunks(*(f"word{number} " for number in range(2000)))) + DONE,
    "an event of 2 MB": bytes_of(*completion_chunks("a", "x" * 2_000_000, "b")) + DONE,
}


@pytest.mark.core
@pytest.mark.parametrize("cut", [1, 7, 100, 65_536])
@pytest.mark.parametrize("healthy", HEALTHY.values(), ids=HEALTHY)
def test_a_whole_stream_comes_through_byte_for_byte(
    proxy: RunningProxy, upstream: Fresh, healthy: bytes, cut: int
) -> None:
    upstream.answer(Sse([healthy], done=False, cut=max(cut, len(healthy) // 2000)))

    assert stream(proxy).body == healthy


def test_usage_nobody_asked_for_comes_through_where_the_proxy_does_not_ask_either(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    chunks = [{"usage": None, **chunk} for chunk in completion_chunks("Hi", usage=True)]
    upstream.answer(Sse(chunks))

    reply = stream(start(upstream.provider.base_url, openai_stream_usage=False))
    assert reply.body == bytes_of(*chunks) + DONE


@pytest.mark.parametrize("cut", [7, 65_536])
def test_a_whole_response_comes_through_byte_for_byte(proxy: RunningProxy, upstream: Fresh, cut: int) -> None:
    healthy = b"".join(response_events("Hel", "lo"))
    upstream.answer(Sse([healthy], done=False, cut=cut))

    assert stream(proxy, RESPONSES).body == healthy


@pytest.mark.parametrize(
    "name", [name for name in HEALTHY if name not in ("CR", "two choices", "a filter's word first")]
)
@pytest.mark.parametrize("kind", SDKS)
def test_an_sdk_reads_a_whole_stream_as_it_does_directly(
    proxy: RunningProxy, upstream: Fresh, kind: str, name: str
) -> None:
    upstream.answer(Sse([HEALTHY[name]], done=False, cut=4096))
    direct = read_with_sdk(upstream.provider.base_url, kind)

    assert read_with_sdk(proxy.base_url, kind) == direct


def test_each_event_comes_through_before_the_next_is_there(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(UNFINISHED[:1], done=False, end=Stall()))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()

        assert client.read_chunk() == bytes_of(UNFINISHED[0])


def test_a_long_event_comes_through_before_it_ends(proxy: RunningProxy, upstream: Fresh) -> None:
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000
    upstream.answer(Sse([begun], done=False, end=Stall()))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()

        assert client.read_exactly(6)


TRAPS = {
    "a ping": (b": ping\n\n", b": keep-alive\n\n"),
    "pings": (b": ping - 1\n: ping\r\n: sleeping\n\n", b": keep-alive - 1\n: keep-alive\r\n: sleeping\n\n"),
    "an empty data:": (b"data:\n\n", b": keep-alive\n\n"),
    "data: of a space": (b"data: \n\n", b": keep-alive\n\n"),
}


@pytest.mark.parametrize(("sent", "given"), TRAPS.values(), ids=TRAPS)
def test_q7_q8_a_heartbeat_that_some_client_stumbles_over_becomes_one_that_none_does(
    proxy: RunningProxy, upstream: Fresh, sent: bytes, given: bytes
) -> None:
    upstream.answer(Sse([UNFINISHED[0], sent, *FINISHED], gap_s=0.01))

    assert stream(proxy).body == bytes_of(UNFINISHED[0], given, *FINISHED) + DONE


# --- streams of formats nobody knows ----------------------------------------------------------------------------------


def test_a_stream_of_an_unknown_format_is_passed_on_untouched(proxy: RunningProxy, upstream: Fresh) -> None:
    strange = b"data: no JSON\n\n: ping\n\ndata:\n\nhalf an event"
    upstream.answer(Sse([strange], done=False))

    assert stream(proxy, "/v1/threads/t/runs").body == strange


def test_a_stream_of_an_unknown_format_that_breaks_off_does_not_look_complete(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Sse(UNFINISHED, done=False, end=Fin()))

    with pytest.raises((EOFError, ConnectionError)):
        stream(proxy, "/v1/threads/t/runs")


# --- a silent upstream, and its client --------------------------------------------------------------------------------

KEEP_ALIVE = b": keep-alive\n\n"


@pytest.fixture(scope="module")
def patient(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that says every tenth of a second that it is still waiting."""
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), keep_alive_s=0.1) as running:
        yield running


@pytest.mark.core
def test_q19_a_stream_whose_upstream_is_silent_has_its_head_and_comments_early(
    patient: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Delayed(Sse(FINISHED), 0.5))
    reply = stream(patient)
    rest = reply.body.replace(KEEP_ALIVE, b"")

    assert (reply.status, reply.header("content-type")) == (200, "text/event-stream; charset=utf-8")
    assert reply.body.startswith(KEEP_ALIVE * 2)
    assert rest == bytes_of(*FINISHED) + DONE


def test_an_http_1_0_client_has_its_head_and_comments_early_too(patient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Delayed(Sse(FINISHED), 0.4))
    with connect(patient) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE, version="HTTP/1.0")).read_head()
        body = client.read_rest()

    assert body.startswith(KEEP_ALIVE)
    assert body.replace(KEEP_ALIVE, b"") == bytes_of(*FINISHED) + DONE


def test_a_head_that_left_early_allows_its_page_to_read(patient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Delayed(Sse(FINISHED), 0.3))
    reply = stream(patient, CHAT, STREAM, "Origin: http://localhost:3000")

    assert reply.header("access-control-allow-origin") == "http://localhost:3000"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_refusal_after_the_head_left_early_is_an_error_event(
    patient: RunningProxy, upstream: Fresh, path: str
) -> None:
    upstream.answer(Delayed(Json({"error": {"message": "no", "type": "t", "param": "p", "code": "own"}}, 400), 0.3))
    reply = stream(patient, path)
    comments = reply.body.count(KEEP_ALIVE)

    assert comments >= 1
    assert told_error(reply, KEEP_ALIVE * comments, path)["code"] == "own"


def test_a_failure_after_the_head_left_early_is_an_error_event(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    upstream.answer(HeadThenStall(content_type="application/json"))
    reply = stream(start(upstream.provider.base_url, keep_alive_s=0.1, openai_timeout=0.5))

    assert told_error(reply, KEEP_ALIVE * reply.body.count(KEEP_ALIVE))["code"] == "upstream_timeout"


def test_a_completion_after_the_head_left_early_is_chunks(patient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Delayed(Json(completion("Hello")), 0.3))
    body = stream(patient).body

    assert body.startswith(KEEP_ALIVE)
    assert b'"content":"Hello"' in body
    assert body.endswith(DONE)


def test_comments_come_between_events_and_never_inside_one(patient: RunningProxy, upstream: Fresh) -> None:
    halves = [bytes_of(UNFINISHED[0]), bytes_of(UNFINISHED[1])[:30], bytes_of(UNFINISHED[1])[30:], bytes_of(*FINISHED)]
    upstream.answer(Sse(halves, gap_s=0.25))
    body = stream(patient).body

    assert body.count(KEEP_ALIVE) >= 2
    assert body.replace(KEEP_ALIVE, b"") == bytes_of(*UNFINISHED[:2], *FINISHED) + DONE
    assert all(piece.startswith((b"data: {", b"data: [DONE]", b": keep")) for piece in body.split(b"\n\n")[:-1])


def test_no_comment_comes_inside_an_event_that_was_passed_on_in_part(patient: RunningProxy, upstream: Fresh) -> None:
    long = bytes_of(*completion_chunks("x" * 100_000, finish=None)[1:])
    upstream.answer(Sse([long[:80_000], long[80_000:] + bytes_of(*FINISHED)], gap_s=0.3))

    assert long in stream(patient).body


def test_a_plain_answer_has_no_comments(patient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Delayed(Json(completion("Hello")), 0.3))

    assert stream(patient, CHAT, STREAM.replace(b"true", b"false")).json() == completion("Hello")


@pytest.mark.parametrize("kind", SDKS)
def test_q9_an_sdk_reads_a_stream_with_comments_as_it_does_directly(
    patient: RunningProxy, upstream: Fresh, kind: str
) -> None:
    upstream.answer(Delayed(Sse(FINISHED[:2] + FINISHED[-1:], gap_s=0.15), 0.3))

    assert read_with_sdk(patient.base_url, kind) == read_with_sdk(upstream.provider.base_url, kind)


LEFT: dict[str, Answer] = {
    "before the head": Script([Stall()]),
    "between events": Sse(UNFINISHED, done=False, end=Stall()),
    "between tries": Json({"error": {"message": "busy"}}, 503, [("Retry-After", "5")]),
    "in a flood": Script([Header("Content-Type", "text/event-stream"), Flood(10**9, bytes_of(*UNFINISHED) * 100)]),
}


@pytest.mark.core
@pytest.mark.parametrize("answer", LEFT.values(), ids=LEFT)
def test_a_client_who_leaves_while_comments_are_sent_closes_the_upstream_within_2_seconds(
    patient: RunningProxy, upstream: Fresh, answer: Answer
) -> None:
    upstream.answer(answer)
    with connect(patient) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()
        assert client.read_chunk()
        tried, left_at = len(upstream.requests), time.monotonic()

    wait_until(lambda: patient.services.in_flight.count == 0, seconds=2)
    assert patient.services.in_flight.count == 0
    assert isinstance(answer, Json) or upstream.wait_for_hangup() - left_at < 2
    assert len(upstream.requests) == tried
