"""The scripted upstream speaks proper HTTP and records what it hears, seen by raw sockets."""

import gzip
import hashlib
import json
import time
from contextlib import closing

import pytest

from fakes.raw_client import GET, RawClient, post
from fakes.scripted_upstream import (
    Answer,
    Chunk,
    Content,
    Echo,
    Fin,
    Gzip,
    Header,
    Html,
    Json,
    Pause,
    Redirect,
    Reset,
    Script,
    ScriptedUpstream,
    Sse,
    Status,
    Text,
    completion,
    completion_chunks,
    many_headers,
)


def test_a_path_without_a_script_is_answered_501(client: RawClient) -> None:
    status, _, body = client.send(GET).read_answer()

    assert status.startswith("HTTP/1.1 501")
    assert b"not_scripted" in body


def test_json_keeps_status_and_headers_as_scripted(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Json({"a": 1}, status=429, headers=[("Retry-After", "7"), ("x-Odd-Case", "1")]))

    client.send(GET)

    assert client.read_head() == (
        "HTTP/1.1 429 Scripted",
        [("Content-Type", "application/json"), ("Retry-After", "7"), ("x-Odd-Case", "1"), ("Content-Length", "8")],
    )
    assert client.read_exactly(8) == b'{"a": 1}'


def test_a_path_has_its_own_answer(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("default"))
    upstream.answer(Text("models"), path="/v1/models")

    assert client.send(GET).read_answer()[2] == b"models"
    assert client.send(post(b"{}")).read_answer()[2] == b"default"


def test_a_sequence_keeps_its_last_answer(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answers([Text("one"), Text("two")])

    assert [client.send(GET).read_answer()[2] for _ in range(3)] == [b"one", b"two", b"two"]


def test_requests_are_recorded_in_wire_order_and_letter_case(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))
    before = time.monotonic()

    client.send(post(b'{"x": 1}', b"X-Twice: b", b"x-twice: a")).read_answer()
    client.send(GET).read_answer()
    with closing(RawClient(upstream.port)) as other:
        other.send(GET).read_answer()

    first, second, third = upstream.wait_for_requests(3)
    assert (first.method, first.target, first.path) == ("POST", "/v1/chat/completions?a=1", "/v1/chat/completions")
    assert first.headers[1:3] == [("X-Twice", "b"), ("x-twice", "a")]
    assert first.header_values("X-TWICE") == ["b", "a"]
    assert first.header("absent") is None
    assert first.json() == {"x": 1}
    assert before <= first.at <= second.at <= third.at <= time.monotonic()
    assert [(r.connection, r.index, r.complete) for r in (first, second, third)] == [
        (0, 0, True),
        (0, 1, True),
        (1, 0, True),
    ]


def test_echo_tells_what_it_received(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Echo())
    body = b"x" * 3_000_000

    seen = json.loads(client.send(post(body, b"A: b")).read_answer()[2])

    assert seen["method"] == "POST"
    assert ["A", "b"] in seen["headers"]
    assert (seen["body_length"], seen["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_chunked_request_body_is_decoded(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))

    client.send(b"POST /v1/files HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n").read_answer()
    client.send(GET).read_answer()

    assert [request.body for request in upstream.requests] == [b"abc0123456789", b""]


def test_expect_continue_is_answered_before_the_body(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))

    client.send(b"POST /v1/files HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")

    assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send(b"body").read_answer()[2] == b"ok"
    assert upstream.requests[0].body == b"body"


def test_head_gets_no_body(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Json({"a": 1}))

    client.send(b"HEAD /v1/models HTTP/1.1\r\n\r\n")
    assert ("Content-Length", "8") in client.read_head()[1]

    assert client.send(GET).read_answer()[2] == b'{"a": 1}'


def test_connection_close_of_the_client_is_kept(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))

    assert client.send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").read_to_fin().endswith(b"\r\n\r\nok")


def test_connection_close_of_the_answer_is_kept(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok", headers=[("Connection", "close")]))

    assert client.send(GET).read_to_fin().endswith(b"\r\n\r\nok")


def test_a_script_runs_its_steps(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(
        Script([Status(201, "Made"), Header("X-A", "1"), Chunk(b"one"), Pause(0.1), Chunk(b"two", last=True)])
    )
    start = time.monotonic()

    client.send(GET)

    assert client.read_head()[0] == "HTTP/1.1 201 Made"
    assert client.read_chunks() == [b"one", b"two"]
    assert time.monotonic() - start >= 0.1
    assert client.send(GET).read_head()[0] == "HTTP/1.1 201 Made"


def test_an_empty_script_is_an_empty_200(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Script([]))

    assert client.send(GET).read_answer() == ("HTTP/1.1 200 OK", {"Content-Length": "0"}, b"")


def test_sse_sends_events_in_chunks_and_done(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse([{"a": 1}, "text", b": comment\n\n"], headers=[("x-request-id", "r")]))

    status, headers, body = client.send(GET).read_answer()

    assert status.startswith("HTTP/1.1 200")
    assert (headers["Content-Type"], headers["x-request-id"]) == ("text/event-stream; charset=utf-8", "r")
    assert body == b'data: {"a": 1}\n\ndata: text\n\n: comment\n\ndata: [DONE]\n\n'
    assert client.send(GET).read_answer()[2] == body


def test_sse_writes_its_gaps_framing_and_cuts(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(["ab", "cd"], done=False, framing="\r\n\r\n", cut=7, gap_s=0.05))
    start = time.monotonic()

    client.send(GET)

    client.read_head()
    chunks = client.read_chunks()
    assert b"".join(chunks) == b"data: ab\r\n\r\ndata: cd\r\n\r\n"
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 3]
    assert time.monotonic() - start >= 0.2


def test_sse_without_chunks_ends_with_the_connection(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(["a"], chunked=False))

    client.send(GET)

    assert client.read_head()[1] == [("Content-Type", "text/event-stream; charset=utf-8")]
    assert client.read_to_fin() == b"data: a\n\ndata: [DONE]\n\n"


def test_a_stream_cut_with_fin_has_no_last_chunk(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(["a"], done=False, end=Fin()))

    assert client.send(GET).read_to_fin().endswith(b"9\r\ndata: a\n\n\r\n")
    upstream.wait_for_open_connections(0)
    assert upstream.hangups == []


def test_a_stream_can_be_reset_after_its_bytes_arrived(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(["a"], done=False, end=Reset()))

    client.send(GET).read_until(b"data: a\n\n\r\n")

    with pytest.raises(ConnectionResetError):
        client.read_to_fin()


def test_the_sample_completion_and_its_chunks_are_streamable(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo", usage=True)), path="/v1/models")
    upstream.answer(Json(completion("Hello")))

    events = client.send(GET).read_answer()[2].decode().split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    whole = json.loads(client.send(post(b"{}")).read_answer()[2])

    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"] == "Hello"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 7)


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "body"),
    [
        (Html("<p>hi</p>", status=502), "502", "text/html; charset=utf-8", b"<p>hi</p>"),
        (Text("hi", status=400), "400", "text/plain; charset=utf-8", b"hi"),
        (Content(b"\x00", "audio/wav"), "200", "audio/wav", b"\x00"),
    ],
)
def test_documents_say_what_they_are(
    upstream: ScriptedUpstream, client: RawClient, answer: Answer, status: str, content_type: str, body: bytes
) -> None:
    upstream.answer(answer)

    first, headers, got = client.send(GET).read_answer()

    assert (first.split()[1], headers["Content-Type"], got) == (status, content_type, body)


def test_redirect_names_a_place(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Redirect("http://127.0.0.1:1/elsewhere", status=308))

    status, headers, _ = client.send(GET).read_answer()

    assert (status.split()[1], headers["Location"]) == ("308", "http://127.0.0.1:1/elsewhere")


def test_gzip_is_sent_unasked(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Gzip(b'{"a": 1}'))

    _, headers, body = client.send(GET).read_answer()

    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b'{"a": 1}'


def test_many_headers_are_many(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Json({}, headers=many_headers(150)))

    assert len(client.send(GET).read_head()[1]) == 152
