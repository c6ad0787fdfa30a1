"""A silent upstream, and the client that waits for its stream: comments between events, and never inside one."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Delayed,
    Flood,
    Header,
    HeadThenStall,
    Json,
    Script,
    ScriptedUpstream,
    Sse,
    Stall,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.streaming import (
    CHAT,
    DONE,
    FINISHED,
    KEEP_ALIVE,
    RESPONSES,
    SDKS,
    STREAM,
    UNFINISHED,
    bytes_of,
    read_with_sdk,
    stream,
    told_error,
)
from fakes.wire_client import JSON_TYPE
from waiting import wait_for


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


@pytest.mark.parametrize("value", [{"detail": "no such model"}, {"error": "no such model"}, ["no such model"]])
def test_a_refusal_of_any_form_after_the_head_left_early_is_an_error_event(
    patient: RunningProxy, upstream: Fresh, value: Any
) -> None:
    upstream.answer(Delayed(Json(value, 422), 0.3))
    reply = stream(patient)
    error = told_error(reply, KEEP_ALIVE * reply.body.count(KEEP_ALIVE))

    assert error["code"] == "upstream_status_422"
    assert "no such model" in error["message"]


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
        upstream.wait_for_requests(1)  # a comment may come before the upstream has been asked
        tried, left_at = len(upstream.requests), time.monotonic()

    wait_for(lambda: patient.services.observers.running == 0, "the end of the request", 2)
    assert patient.services.observers.running == 0
    assert isinstance(answer, Json) or upstream.wait_for_hangup() - left_at < 2
    assert len(upstream.requests) == tried
