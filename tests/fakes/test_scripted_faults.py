"""The scripted upstream breaks HTTP exactly as scripted, seen by raw sockets."""

import time
from contextlib import closing

import pytest

from fakes.raw_client import GET, RawClient, post
from fakes.scripted_upstream import (
    Answer,
    AnswerEarly,
    Body,
    Chunk,
    CloseBeforeHeaders,
    CloseKeepAliveAfterAnswer,
    Delayed,
    DripBody,
    EndHead,
    Fin,
    Header,
    HeadThenStall,
    LingerAfterDone,
    LongBody,
    Raw,
    RawBytes,
    ResetBeforeHeaders,
    Script,
    ScriptedUpstream,
    ShortBody,
    SilentBeforeHeaders,
    StaleReuse,
    Stall,
    Status,
    Text,
)


def test_garbage_stands_in_place_of_a_head(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(RawBytes(b"garbage"))

    assert client.send(GET).read_to_fin() == b"garbage"


def test_close_before_headers_is_a_bare_fin(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(CloseBeforeHeaders())

    assert client.send(GET).read_to_fin() == b""
    assert upstream.hangups == []


def test_reset_before_headers_is_a_bare_rst(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(ResetBeforeHeaders())

    with pytest.raises(ConnectionResetError):
        client.send(GET).read_to_fin()


@pytest.mark.parametrize("answer", [SilentBeforeHeaders(), Script([Stall()])])
def test_silence_lasts_until_the_client_leaves(upstream: ScriptedUpstream, client: RawClient, answer: Answer) -> None:
    upstream.answer(answer)

    assert client.send(GET).says_nothing()

    left = time.monotonic()
    client.close()
    assert left <= upstream.wait_for_hangup() < left + 1
    upstream.wait_for_open_connections(0)


def test_a_head_may_be_followed_by_nothing(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(HeadThenStall())

    assert client.send(GET).read_head()[0].startswith("HTTP/1.1 200")
    assert client.says_nothing()


def test_a_short_body_breaks_its_promise(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(ShortBody({"a": 1}, missing=10))

    client.send(GET)

    assert ("Content-Length", "18") in client.read_head()[1]
    assert client.read_to_fin() == b'{"a": 1}'


def test_a_long_body_spills_over(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(LongBody({"a": 1}))

    assert client.send(GET).read_answer()[2] == b'{"a": 1}'
    assert client.read_exactly(9) == b"left over"


def test_a_body_drips_byte_by_byte(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(DripBody(b"{}   ", gap_s=0.03))
    start = time.monotonic()

    client.send(GET)
    client.read_head()

    assert client.seen == b""
    assert [client.socket.recv(100) for _ in range(5)] == [b"{", b"}", b" ", b" ", b" "]
    assert time.monotonic() - start >= 0.15


def test_lingering_after_done_sends_no_end(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(LingerAfterDone(["a"]))

    client.send(GET).read_until(b"data: [DONE]\n\n\r\n")

    assert client.says_nothing()
    client.close()
    upstream.wait_for_hangup()


def test_an_idle_connection_can_be_closed_unannounced(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(CloseKeepAliveAfterAnswer(Text("ok"), after_s=0.05))

    _, headers, body = client.send(GET).read_answer()

    assert ("Connection" in headers, body) == (False, b"ok")
    assert client.read_to_fin() == b""


@pytest.mark.parametrize("with_reset", [False, True])
def test_a_reused_connection_can_be_found_dead(upstream: ScriptedUpstream, client: RawClient, with_reset: bool) -> None:
    upstream.answers([StaleReuse(Text("one"), reset=with_reset), Text("two")])

    assert client.send(GET).read_answer()[2] == b"one"
    client.send(post(b"{}"))
    if with_reset:
        with pytest.raises(ConnectionResetError):
            client.read_to_fin()
    else:
        assert client.read_to_fin() == b""
    with closing(RawClient(upstream.port)) as other:
        assert other.send(post(b"{}")).read_answer()[2] == b"two"

    assert [(r.connection, r.index) for r in upstream.requests] == [(0, 0), (0, 1), (1, 0)]


def test_a_delayed_answer_comes_late(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Delayed(Text("ok"), 0.2))
    start = time.monotonic()

    client.send(GET).read_answer()

    assert time.monotonic() - start >= 0.2


def test_an_early_answer_comes_before_the_body(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answers([AnswerEarly(), Text("next")])

    client.send(b"POST /v1/files HTTP/1.1\r\nContent-Length: 4\r\n\r\n")
    assert client.read_answer()[0].split()[1] == "413"
    assert [request.complete for request in upstream.requests] == [False]

    assert client.send(b"body" + GET).read_answer()[2] == b"next"
    assert [(request.body, request.complete) for request in upstream.requests] == [(b"body", True), (b"", True)]


def test_an_early_answer_may_close_and_still_arrives(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(AnswerEarly(Script([Status(413), Header("Connection", "close"), Body(b"no"), Fin()])))

    client.send(post(b"x" * 300_000))

    assert client.read_to_fin().endswith(b"\r\n\r\nno")


def test_an_early_answer_saves_the_body_of_a_client_that_asks_first(
    upstream: ScriptedUpstream, client: RawClient
) -> None:
    upstream.answer(AnswerEarly())

    client.send(b"POST /v1/files HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")

    assert client.read_to_fin().startswith(b"HTTP/1.1 413")


def test_raw_bytes_may_break_the_chunk_framing(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Script([EndHead(chunked=True), Chunk(b"a"), Raw(b"zz\r\nnonsense"), Fin()]))

    assert client.send(GET).read_to_fin().endswith(b"1\r\na\r\nzz\r\nnonsense")
