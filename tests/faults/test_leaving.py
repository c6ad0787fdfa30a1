"""The fault table: a client who leaves, in any phase, takes its upstream connection along."""

import json
import logging
import statistics
import time
from collections.abc import Callable, Iterator

import openai
import psutil
import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS, ask, body_of, refusal
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    AnswerEarly,
    Chunk,
    DripBody,
    EndHead,
    Header,
    HeadThenStall,
    Json,
    Script,
    ScriptedUpstream,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    Stall,
    Status,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import MESSAGES
from fakes.wire_client import JSON_TYPE
from waiting import wait_for

# --- the client leaves, in any phase ----------------------------------------------------------------------------------


def drip(kind: str) -> Answer:
    return DripBody(b"x" * 2000, gap_s=0.02, content_type=kind)


PHASES: dict[str, tuple[Answer, int]] = {
    "before the answer": (SilentBeforeHeaders(), len(BODY)),
    "after the head of a stream": (HeadThenStall(), len(BODY)),
    "within a stream": (Sse(completion_chunks("Hel", "lo", finish=None), done=False, end=Stall()), len(BODY)),
    "within a running stream": (drip("text/event-stream"), len(BODY)),
    "within a plain answer": (drip("application/json"), len(BODY)),
    "within a stalled plain answer": (ShortBody(completion(), end=Stall()), len(BODY)),
    "within an error": (
        Script([Status(400), Header("Content-Type", "application/json"), EndHead(chunked=True), Chunk(b"{"), Stall()]),
        len(BODY),
    ),
    "before the answer to 200 kB": (SilentBeforeHeaders(), 200_000),
    "before the answer to 3 MB": (SilentBeforeHeaders(), 3 * 2**20),
    "within a stream after 3 MB": (
        Sse(completion_chunks("Hel", "lo", finish=None), done=False, end=Stall()),
        3 * 2**20,
    ),
}


def leave(proxy: RunningProxy, upstream: Fresh, body: bytes, way: str = CHAT) -> float:
    """Ask, wait until the upstream has the request, leave; return the seconds until the upstream saw that."""
    asked, hung_up = len(upstream.requests), len(upstream.provider.hangups)
    with connect(proxy) as client:
        method = "GET" if way == MODELS else "POST"
        client.send(client.request(method, way, None if way == MODELS else body, JSON_TYPE))
        upstream.wait_for_requests(asked + 1)
        time.sleep(0.05)  # for the first bytes of the answer, where there are any
        left_at = time.monotonic()
    return upstream.provider.wait_for_hangup(count=hung_up + 1) - left_at


@pytest.mark.core
@pytest.mark.parametrize("phase", PHASES)
def test_a_client_who_leaves_closes_the_upstream_within_2_seconds(
    proxy: RunningProxy, upstream: Fresh, phase: str
) -> None:
    answer, size = PHASES[phase]
    upstream.answer(answer)

    assert leave(proxy, upstream, body_of(size)) < 2
    assert len(upstream.requests) == 1


def begun(*pieces: bytes) -> Answer:
    """Begin a stream, and stall before its first event is whole."""
    head = (Header("Content-Type", "text/event-stream"), EndHead(chunked=True))
    return Script([*head, *map(Chunk, pieces), Stall()])


BEGINNINGS: dict[str, list[Answer]] = {
    "the first event cut": [begun(b'data: {"id": "chat')],
    "the first event in pieces": [begun(b"event: message\n", b'data: {"id"', b": 1")],
    "the first event without its blank line": [begun(b'data: {"id": "chat", "choices": []}\n')],
    "the same when asked again": [
        Json({"error": {"message": "no stream_options here"}}, status=400),
        begun(b'data: {"id": "chat'),
    ],
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_client_who_leaves_before_a_new_models_first_event_closes_the_upstream(
    proxy: RunningProxy, upstream: Fresh, beginning: str
) -> None:
    answers = BEGINNINGS[beginning]
    upstream.answers(answers)
    with connect(proxy) as client:  # nothing is known of the model: its first event is looked at before it is passed on
        body = json.dumps({"model": beginning, "stream": True, "messages": []}).encode()
        client.send(client.request("POST", CHAT, body, JSON_TYPE))
        upstream.wait_for_requests(len(answers))
        time.sleep(0.05)  # for the beginning to arrive
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 2
    wait_for(lambda: proxy.services.observers.running == 0, "no request under way")
    assert len(upstream.requests) == len(answers)


@pytest.mark.core
@pytest.mark.parametrize("way", [CHAT, MODELS, FILES])
def test_it_takes_less_than_half_a_second_as_a_rule(
    proxy: RunningProxy, upstream: Fresh, way: str, record_property: Callable[[str, object], None]
) -> None:
    upstream.answer(SilentBeforeHeaders())
    seconds = [leave(proxy, upstream, BODY, way) for _ in range(7)]
    record_property("median_s", statistics.median(seconds))

    assert statistics.median(seconds) < 0.5
    assert len(upstream.requests) == 7


def test_a_client_who_leaves_between_two_tries_ends_them(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(503, ("Retry-After", "0.4")))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE))
        upstream.wait_for_requests(1)
    time.sleep(0.8)

    assert len(upstream.requests) == 1


def test_a_client_who_leaves_in_the_middle_of_its_upload_ends_it(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json({}))
    with connect(proxy) as client:
        client.send(client.request("POST", FILES, None, "Content-Type: a/b", f"Content-Length: {4 * 2**20}"))
        client.send(bytes(2 * 2**20))
        wait_for(lambda: upstream.provider.open_connections > 0, "a way to the upstream")
        time.sleep(0.1)  # for some of the upload to get there
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 2
    assert not upstream.requests[0].complete


def connections_to(port: int) -> int:
    """Return how many connections this process holds to a port. A provider that reads nothing sees no end of them."""
    return sum(bool(each.raddr) and each.raddr[1] == port for each in psutil.Process().net_connections("tcp"))


@pytest.fixture
def deaf() -> Iterator[ScriptedUpstream]:
    """Run a provider that never reads a body and never answers."""
    with ScriptedUpstream() as server:
        server.answer(AnswerEarly(SilentBeforeHeaders()))
        yield server


def test_a_client_who_leaves_an_upload_nobody_takes_is_given_up_with_the_upstream(
    deaf: ScriptedUpstream, start: Callable[..., RunningProxy]
) -> None:
    # Nothing reads the client's connection while neither side moves, and what it has sent stands before its end: no
    # system could show us that end. What ends it is the upstream's silence.
    with connect(start(deaf.base_url, openai_timeout=2.5), limit_s=0.5) as client:  # time enough to look at both
        client.send(client.request("POST", FILES, None, "Content-Type: a/b", f"Content-Length: {60 * 2**20}"))
        with pytest.raises(TimeoutError):  # every buffer on the way is full
            client.send(bytes(50 * 2**20))
        assert connections_to(deaf.port) == 1

    wait_for(lambda: connections_to(deaf.port) == 0, "the end of the connections", 15)
    assert connections_to(deaf.port) == 0


def test_a_client_who_leaves_a_large_chat_nobody_takes_ends_it(
    deaf: ScriptedUpstream, start: Callable[..., RunningProxy]
) -> None:
    with connect(start(deaf.base_url)) as client:
        client.send(client.request("POST", CHAT, body_of(20 * 2**20), JSON_TYPE))
        deaf.wait_for_requests(1)
        assert connections_to(deaf.port) == 1

    wait_for(lambda: connections_to(deaf.port) == 0, "the end of the connections", 2)
    assert connections_to(deaf.port) == 0


def test_a_client_who_leaves_in_the_middle_of_its_chat_asks_nothing(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, "Content-Length: 1000"))
        client.send(BODY)
    assert ask(proxy, "/v1/health").status == 200

    assert upstream.requests == []


def test_a_client_who_leaves_with_another_request_behind_closes_the_upstream(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(SilentBeforeHeaders())
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE) + client.request("GET", "/v1/health"))
        upstream.wait_for_requests(1)
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 2


def test_the_sdk_that_closes_its_stream_closes_the_upstream(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo", finish=None), done=False, end=Stall()))
    with proxy.sdk() as sdk:
        stream = sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        next(iter(stream))
        left_at = time.monotonic()
        stream.close()

        assert upstream.wait_for_hangup() - left_at < 2


def test_the_sdk_that_gives_up_waiting_closes_the_upstream(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(SilentBeforeHeaders())
    with proxy.sdk(timeout=0.2) as sdk:
        with pytest.raises(openai.APITimeoutError):
            sdk.chat.completions.create(model="m", messages=MESSAGES)

        assert time.monotonic() - upstream.wait_for_hangup() < 2
    assert len(upstream.requests) == 1


def test_a_client_who_leaves_is_no_error_in_the_log(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answer(SilentBeforeHeaders())
    with caplog.at_level(logging.INFO):
        leave(proxy, upstream, BODY)
        wait_for(lambda: "cancelled by the client" in caplog.text, "the request's line in the log")

    assert "cancelled by the client" in caplog.text
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
