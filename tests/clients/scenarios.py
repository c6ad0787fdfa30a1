"""What the clients are put through: answers that are whole in every shape, and answers that are broken in every way."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from clients.replies import (
    WORDS,
    call_item,
    message_item,
    response,
    response_events,
    tool_chunks,
    tool_completion,
    with_delta,
)
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Content,
    Delayed,
    Fin,
    Gzip,
    HeadThenStall,
    Html,
    Json,
    LingerAfterDone,
    RawBytes,
    Recorded,
    Redirect,
    Reset,
    ResetBeforeHeaders,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    Stall,
    Step,
    completion,
    completion_chunks,
)

Call = Literal["chat", "chat stream", "responses", "responses stream"]
Expectation = Literal["the same as direct", "whole", "an error"]


@dataclass(frozen=True)
class Scenario:
    """One answer, the call that gets it, and what every client must make of it through the proxy."""

    name: str
    call: Call
    answer: Answer
    expected: Expectation
    asks_usage: bool = True


@dataclass(frozen=True)
class UsageWhereAsked(Answer):
    """Send the usage chunk only to those who ask for it, as the API does."""

    def script(self, request: Recorded) -> Iterable[Step]:
        asked = (request.json().get("stream_options") or {}).get("include_usage") is True
        return Sse(completion_chunks(*WORDS, usage=asked)).script(request)


TEXT = completion_chunks(*WORDS, usage=True)
HALF = completion_chunks(*WORDS, finish=None)
TOOLS = tool_chunks(calls=2, usage=True)
RESPONSE = response_events()
HALF_RESPONSE = response_events(ending=None)
ERROR = {"error": {"message": "scripted error", "type": "server_error", "param": None, "code": "scripted"}}


def cut_by_limit(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a completion that the token limit has cut."""
    [choice] = answer["choices"]
    return {**answer, "choices": [{**choice, "finish_reason": "length"}]}


def broken(event: dict[str, Any]) -> bytes:
    """Return an event whose JSON breaks off."""
    return b"data: " + json.dumps(event).encode()[:-25] + b"\n\n"


def refusal(status: int, code: str = "scripted", **headers: str) -> Json:
    """Return an error of the API."""
    error = {"message": "scripted error", "type": "t", "param": None, "code": code}
    return Json({"error": error}, status=status, headers=[(name.replace("_", "-"), v) for name, v in headers.items()])


def whole(call: Call, expected: Expectation = "the same as direct", **answers: Answer) -> list[Scenario]:
    """Return scenarios in which nothing is wrong."""
    return [Scenario(name.replace("_", " "), call, answer, expected) for name, answer in answers.items()]


def faulty(call: Call, **answers: Answer) -> list[Scenario]:
    """Return scenarios in which every client must learn that something is wrong."""
    return [Scenario(name.replace("_", " "), call, answer, "an error") for name, answer in answers.items()]


WHOLE = [
    *whole(
        "chat",
        a_text=Json(completion("".join(WORDS))),
        tool_calls=Json(tool_completion()),
        a_text_cut_by_the_token_limit=Json(cut_by_limit(completion("Hello"))),
        fields_nobody_knows=Json({**completion("Hello"), "provider": {"name": "x"}, "system_fingerprint": None}),
        a_megabyte_of_text=Json(completion("wörd " * 200_000)),
        gzip_nobody_asked_for=Gzip(json.dumps(completion("Hello")).encode()),
        JSON_named_text=Content(json.dumps(completion("Hello")).encode(), "application/json; charset=utf-8"),
        a_slow_answer=Delayed(Json(completion("Hello")), 0.2),
    ),
    *whole(
        "chat stream",
        a_text=Sse(TEXT),
        lines_that_end_in_CRLF=Sse(TEXT, framing="\r\n\r\n"),
        comments_before_the_first_chunk=Sse([b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n" * 5, *TEXT]),
        comments_between_the_chunks=Sse([piece for chunk in TEXT for piece in (b": keep-alive\n\n", chunk)]),
        cut_after_every_byte=Sse(TEXT[-4:], cut=1),
        cut_in_the_middle_of_characters=Sse([json.dumps(chunk, ensure_ascii=False) for chunk in TEXT], cut=7),
        cut_in_odd_places=Sse([json.dumps(chunk, ensure_ascii=False) for chunk in TEXT], cut=113, framing="\r\n\r\n"),
        in_one_piece=Sse(TEXT, cut=1_000_000),
        no_space_after_data=Sse([b"data:" + json.dumps(chunk).encode() + b"\n\n" for chunk in TEXT]),
        event_names_ids_and_retry=Sse(
            [b"id: 7\nretry: 10\nevent: message\ndata: " + json.dumps(c).encode() + b"\n\n" for c in TEXT]
        ),
        one_chunk_of_300_kB=Sse(completion_chunks("wörd " * 60_000)),
        three_hundred_chunks=Sse(completion_chunks(*["word "] * 300)),
        tool_calls=Sse(TOOLS),
        tool_calls_cut_in_odd_places=Sse([json.dumps(chunk, ensure_ascii=False) for chunk in TOOLS], cut=11),
        cut_by_the_token_limit=Sse(completion_chunks(*WORDS, finish="length")),
        stopped_by_a_filter=Sse(completion_chunks(*WORDS, finish="content_filter")),
        reasoning_before_the_text=Sse([HALF[0], with_delta(HALF[0], {"reasoning_content": "Hm."}), *TEXT[1:]]),
        no_text_at_all=Sse(completion_chunks()),
        the_end_of_the_connection_as_end=Sse(TEXT, chunked=False, headers=[("Connection", "close")]),
        a_slow_stream=Sse(TEXT, gap_s=0.03),
    ),
    Scenario("usage nobody asked for", "chat stream", UsageWhereAsked(), "the same as direct", asks_usage=False),
    Scenario("usage asked for", "chat stream", UsageWhereAsked(), "the same as direct"),
    *whole(
        "chat stream",
        "whole",
        no_DONE_at_the_end=Sse(TEXT, done=False),
        a_connection_that_lingers_after_DONE=LingerAfterDone(TEXT),
        more_after_DONE=Sse([*TEXT, "[DONE]", *completion_chunks("ate")]),
        plain_JSON_instead_of_a_stream=Json(completion("".join(WORDS))),
        plain_JSON_with_tool_calls_instead_of_a_stream=Json(tool_completion()),
    ),
    *whole(
        "responses",
        a_text=Json(response([message_item()])),
        a_function_call=Json(response([call_item()])),
        cut_by_the_token_limit=Json(
            response([message_item()], "incomplete", incomplete_details={"reason": "max_output_tokens"})
        ),
    ),
    *whole(
        "responses stream",
        a_text=Sse(RESPONSE, done=False),
        cut_after_every_byte=Sse(RESPONSE[-2:], done=False, cut=1),
        cut_in_the_middle_of_characters=Sse(RESPONSE, done=False, cut=7),
        lines_that_end_in_CRLF=Sse([event.replace(b"\n", b"\r\n") for event in RESPONSE], done=False),
        comments_before_the_first_event=Sse([b": keep-alive\n\n" * 3, *RESPONSE], done=False),
        a_function_call=Sse(response_events(item=call_item()), done=False),
        cut_by_the_token_limit=Sse(response_events(ending="response.incomplete"), done=False),
        DONE_at_the_end=Sse(RESPONSE),
    ),
]

BEFORE_THE_ANSWER: dict[str, Answer] = {
    "refused_with_400": refusal(400),
    "refused_with_401": refusal(401),
    "refused_with_404": refusal(404, "model_not_found"),
    "refused_with_429": refusal(429),
    "refused_with_429_and_no_money_left": refusal(429, "insufficient_quota"),
    "refused_with_500": refusal(500),
    "refused_with_502_and_a_page": Html(status=502),
    "closed_before_the_answer": CloseBeforeHeaders(),
    "reset_before_the_answer": ResetBeforeHeaders(),
    "garbage_instead_of_HTTP": RawBytes(),
    "silent": SilentBeforeHeaders(),
    "a_page_instead_of_an_answer": Html(),
    "an_error_with_status_200": Json(ERROR),
    "a_redirect": Redirect("/v1/elsewhere"),
}

FAULTS = [
    *faulty("chat", **BEFORE_THE_ANSWER),
    *faulty(
        "chat",
        a_body_that_breaks_off=ShortBody(completion("Hello")),
        a_body_that_breaks_off_with_RST=ShortBody(completion("Hello"), end=Reset()),
        a_body_that_stalls=ShortBody(completion("Hello"), end=Stall()),
        JSON_that_breaks_off=Content(json.dumps(completion("Hello")).encode()[:-40], "application/json"),
        an_empty_body=Content(b"", "application/json"),
    ),
    *faulty("chat stream", **BEFORE_THE_ANSWER),
    *faulty(
        "chat stream",
        ends_with_FIN_midway=Sse(HALF, done=False, end=Fin()),
        ends_with_RST_midway=Sse(HALF, done=False, end=Reset()),
        ends_cleanly_midway=Sse(HALF, done=False),
        ends_cleanly_midway_with_DONE=Sse(HALF),
        ends_with_the_connection_midway=Sse(HALF, done=False, chunked=False, headers=[("Connection", "close")]),
        ends_within_an_event=Sse([*HALF, b'data: {"id":"chatcmpl-scri'], done=False),
        ends_within_tool_calls=Sse(TOOLS[:-3], done=False),
        ends_before_it_began=Sse([], done=False),
        nothing_but_DONE=Sse([]),
        stalls_before_it_began=HeadThenStall(),
        stalls_midway=Sse(HALF, done=False, end=Stall()),
        an_event_that_is_not_JSON=Sse([*HALF, broken(HALF[-1]), *TEXT[-2:]]),
        an_error_midway=Sse([*HALF, ERROR], done=False),
        an_error_midway_then_DONE=Sse([*HALF, ERROR]),
        an_error_that_is_only_a_text=Sse([*HALF, {"error": "scripted error"}], done=False),
        an_error_with_an_event_name=Sse(
            [*HALF, b"event: error\ndata: " + json.dumps(ERROR).encode() + b"\n\n"], done=False
        ),
    ),
    *faulty("responses", **BEFORE_THE_ANSWER),
    *faulty("responses", a_body_that_breaks_off=ShortBody(response([message_item()]))),
    *faulty("responses stream", **BEFORE_THE_ANSWER),
    *faulty(
        "responses stream",
        ends_with_FIN_midway=Sse(HALF_RESPONSE, done=False, end=Fin()),
        ends_with_RST_midway=Sse(HALF_RESPONSE, done=False, end=Reset()),
        ends_cleanly_midway=Sse(HALF_RESPONSE, done=False),
        ends_cleanly_midway_with_DONE=Sse(HALF_RESPONSE),
        ends_within_an_event=Sse([*HALF_RESPONSE, RESPONSE[-1][:80]], done=False),
        stalls_midway=Sse(HALF_RESPONSE, done=False, end=Stall()),
        an_event_that_is_not_JSON=Sse([*HALF_RESPONSE, RESPONSE[-1][:80] + b"\n\n"], done=False),
        a_response_that_failed=Sse(response_events(ending="response.failed"), done=False),
        an_error_midway=Sse([*HALF_RESPONSE, ERROR], done=False),
    ),
]
