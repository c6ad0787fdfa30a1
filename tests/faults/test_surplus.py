"""An upstream that sends more than it announced: its answer arrives, the rest is in no answer."""

import json
import threading
from dataclasses import dataclass

import pytest

from fakes.asking import CHAT, MODELS, WAYS, ask, body_of
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    EndAnswer,
    EndHead,
    Header,
    Json,
    LongBody,
    Pause,
    Raw,
    RawBytes,
    Script,
    Stall,
    Step,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import bytes_of, stream
from fakes.wire_client import in_chunks

BODY = json.dumps(completion("Hello")).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
FORGED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"forged!"'

SURPLUS = {
    "garbage": b"left over",
    "a line": b"\r\nleft over\r\n\r\n",
    "an answer": FORGED,
    "two answers": FORGED * 2,
    "half a head": FORGED[:40],
    "half an answer": FORGED[:-3],
    "an answer and garbage": FORGED + b"left over",
    "nothing that counts": b"\r\n",
}

PIECES: dict[str, list[bytes]] = {
    "in one packet": [HEAD + BODY],
    "a head in two packets": [HEAD[:20], HEAD[20:] + BODY],
    "a blank line in two packets": [HEAD[:-1], HEAD[-1:] + BODY],
    "a body in two packets": [HEAD + BODY[:10], BODY[10:]],
    "an interim head before": [b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD + BODY],
    "an interim head in the same packet": [b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + BODY],
    "lines without a return": [HEAD.replace(b"\r", b"") + BODY],
    "chunks": [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + in_chunks(BODY)
    ],
    "the connection's end": [HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + BODY],
}


def packets(*pieces: bytes) -> Answer:
    """Send each in a packet of its own, and keep the connection."""
    steps: list[Step] = [step for piece in pieces for step in (Raw(piece), Pause(0.02))]
    return Script([*steps, Pause(0.1), EndAnswer()])


@pytest.mark.core
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_the_announced_bytes_are_the_answer(
    proxy: RunningProxy, upstream: Fresh, pieces: list[bytes], surplus: bytes
) -> None:
    *before, last = pieces
    upstream.answer(packets(*before, last + surplus))
    reply = ask(proxy)

    assert (reply.status, reply.body) == (200, BODY)


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
def test_the_next_request_gets_its_own_answer(proxy: RunningProxy, upstream: Fresh, surplus: bytes, way: str) -> None:
    upstream.answer(LongBody(completion("Hello"), surplus))
    first = ask(proxy, way)
    upstream.answer(Json(completion("its own")))

    assert (first.status, first.body) == (200, BODY)
    assert ask(proxy, way).json() == completion("its own")


@dataclass(frozen=True)
class Tell(Step):
    """Tell the test that all before has been sent."""

    sent: threading.Event

    async def run(self, wire: object) -> None:
        self.sent.set()


@pytest.mark.parametrize("size", [100, 2_000_000])
@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
def test_what_comes_after_the_answer_is_no_answer_to_the_next_request(
    proxy: RunningProxy, upstream: Fresh, surplus: bytes, size: int
) -> None:
    sent = threading.Event()
    promise = [Header("Content-Type", "application/json"), Header("Content-Length", str(len(BODY)))]
    upstream.answer(Script([*promise, EndHead(), Raw(BODY), Pause(0.02), Raw(surplus), Tell(sent)]))
    first = ask(proxy)
    assert sent.wait(5)
    upstream.answer(Json(completion("its own")))
    with connect(proxy) as client:
        second = client.post(CHAT, body_of(size))

    assert (first.status, first.body) == (200, BODY)
    assert second.json() == completion("its own")


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
def test_a_stream_in_one_packet_with_more_behind_it_is_whole(
    proxy: RunningProxy, upstream: Fresh, surplus: bytes
) -> None:
    events = bytes_of(*completion_chunks("Hello"), "[DONE]")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream.answer(packets(head + in_chunks(events) + surplus))

    assert stream(proxy).body == events


@pytest.mark.core
@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_body_where_none_may_be_is_in_no_answer(proxy: RunningProxy, upstream: Fresh, status: int) -> None:
    method = "HEAD" if status == 200 else "GET"
    upstream.answer(packets(HEAD.replace(b"200", b"%d" % status) + BODY))
    with connect(proxy) as client:
        reply = client.ask(method, MODELS)

    assert (reply.status, reply.body) == (status, b"")


BROKEN = {
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a broken head": b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}",
    "an interim head and garbage": b"HTTP/1.1 103 Early Hints\r\n\r\nleft over",
}


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_broken_itself_is_none(proxy: RunningProxy, upstream: Fresh, answer: bytes, way: str) -> None:
    upstream.answer(RawBytes(answer, end=Stall()))
    reply = ask(proxy, way, limit_s=3)

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")
