"""The fault table's rows on streams: no truncated, stalled or broken stream ever looks complete to a client."""

import json
import logging

import openai
import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Chunk,
    EndHead,
    Fin,
    Header,
    HeadThenStall,
    LingerAfterDone,
    Pause,
    Raw,
    Reset,
    Script,
    Sse,
    Stall,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect
from fakes.streaming import (
    CHAT,
    DONE,
    FINISHED,
    RESPONSES,
    SDKS,
    STREAM,
    TEXTS,
    UNFINISHED,
    bytes_of,
    read_with_sdk,
    response_events,
    stream,
    told_error,
)
from waiting import wait_for

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
        wait_for(lambda: " POST /chat/completions " in caplog.text, "the request's line in the log")

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


def test_what_is_broken_after_an_error_of_the_upstream_is_no_second_error(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([*UNFINISHED, ERRORS["an object"], b"data: {broken\n\n"], gap_s=0.005))

    assert stream(proxy).body == bytes_of(*UNFINISHED, ERRORS["an object"]) + DONE


def test_a_response_that_tells_its_failure_is_passed_on(proxy: RunningProxy, upstream: Fresh) -> None:
    failed = response_events("Hi", last="response.failed")
    upstream.answer(Sse(failed, done=False))

    assert stream(proxy, RESPONSES).body == b"".join(failed)


def test_a_key_the_upstream_quotes_within_a_stream_is_not_in_the_answer(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([*UNFINISHED, {"error": {"message": f"bad key {UPSTREAM_KEY}"}}], done=False))
    body = stream(proxy).body

    assert b"bad key" in body
    assert UPSTREAM_KEY.encode() not in body
