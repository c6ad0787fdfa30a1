"""Bytes in, bytes out: what comes back is what the upstream answered, whole or streamed, of any kind and length."""

import gc
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fakes.asking import BODY, CHAT
from fakes.scripted_upstream import (
    Answer,
    Body,
    Chunk,
    Content,
    Echo,
    EndHead,
    Flood,
    Gzip,
    Header,
    Json,
    Script,
    ScriptedUpstream,
    Sse,
    Status,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, Reply, WireClient
from proxy.upstream.wire import WireAnswer
from waiting import settled

EVERY_BYTE = bytes(range(256)) * 300


# --- bodies on their way down -----------------------------------------------------------------------------------------


@pytest.mark.core
def test_a_json_answer_comes_back_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    body = ' {"id":"1" ,\n"choices":[],"new":NaN, "e":"\\ud83d ü", "u":1e999}\n'.encode()
    upstream.answer(Content(body, "application/json; charset=utf-8"))
    reply = client.post(CHAT, BODY)

    assert reply.body == body
    assert reply.header("content-type") == "application/json; charset=utf-8"
    assert reply.header("content-length") == str(len(body))


@pytest.mark.parametrize("size", [3 * 2**20, 1_048_576, 1_048_577])
def test_a_large_json_answer_comes_back_byte_for_byte(client: WireClient, upstream: Fresh, size: int) -> None:
    body = b'{"data":"' + b"x" * (size - 11) + b'"}'
    upstream.answer(Content(body, "application/json"))

    assert client.post("/v1/embeddings", BODY).body == body


def test_a_json_answer_in_chunks_comes_back_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    body = json.dumps(completion("Hello")).encode()
    pieces = [Chunk(body[place : place + 11]) for place in range(0, len(body), 11)]
    upstream.answer(Script([Header("Content-Type", "application/json"), EndHead(chunked=True), *pieces]))

    assert client.post(CHAT, BODY).body == body


@pytest.mark.parametrize("size", [3 * 2**20, 100])
def test_a_json_answer_in_chunks_of_any_size_comes_back(client: WireClient, upstream: Fresh, size: int) -> None:
    body = b'{"data":"' + b"x" * size + b'"}'
    upstream.answer(Script([Header("Content-Type", "application/json"), EndHead(chunked=True), Chunk(body)]))

    assert client.post("/v1/embeddings", BODY).body == body


@pytest.mark.core
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/audio/speech", "audio/mpeg"), ("/v1/files/f/content", "application/octet-stream"), ("/v1/x", "image/png")],
)
def test_binary_answers_come_back_byte_for_byte(client: WireClient, upstream: Fresh, path: str, kind: str) -> None:
    disposition = ("Content-Disposition", 'attachment; filename="a.bin"')
    upstream.answer(Content(EVERY_BYTE, kind, headers=[disposition]))
    reply = client.post(path, BODY) if path == "/v1/audio/speech" else client.ask("GET", path)

    assert (reply.body, reply.header("content-type")) == (EVERY_BYTE, kind)
    assert reply.header("content-length") == str(len(EVERY_BYTE))
    assert reply.header("content-disposition") == disposition[1]


def test_binary_answers_of_unknown_length_come_back_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    pieces = [Chunk(EVERY_BYTE[place : place + 999]) for place in range(0, len(EVERY_BYTE), 999)]
    upstream.answer(Script([Header("Content-Type", "audio/mpeg"), EndHead(chunked=True), *pieces]))

    assert client.post("/v1/audio/speech", BODY).body == EVERY_BYTE


EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Gr\xc3\xbc\xc3\x9fe"},"finish_reason":null}]}'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
STREAMS = {
    "line feeds": EVENT + b"\n\n" + LAST + b"\n\ndata: [DONE]\n\n",
    "carriage returns and line feeds": EVENT + b"\r\n\r\n" + LAST + b"\r\n\r\ndata: [DONE]\r\n\r\n",
    "comments": b": OPENROUTER PROCESSING\n\n: keep-alive\n\n" + EVENT + b"\n\n" + LAST + b"\n\n:\n\ndata: [DONE]\n\n",
    "named events": b"event: a\nid: 7\nretry: 10\n" + EVENT + b"\n\n" + LAST + b"\n\ndata: [DONE]\n\n",
    "no space after the colon": EVENT.replace(b": ", b":", 1) + b"\n\n" + LAST + b"\n\ndata:[DONE]\n\n",
    "a byte order mark": b"\xef\xbb\xbf" + EVENT + b"\n\n" + LAST + b"\n\ndata: [DONE]\n\n",
    "extra fields": b'data: {"choices":[],"x_groq":{"id":1}, "spaces" : 1}\n\n' + LAST + b"\n\ndata: [DONE]\n\n",
}


@pytest.mark.core
@pytest.mark.parametrize("cut", [None, 1, 3, 7])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_comes_back_byte_for_byte(client: WireClient, upstream: Fresh, stream: bytes, cut: int | None) -> None:
    upstream.answer(Sse([stream], done=False, cut=cut))
    reply = client.post(CHAT, BODY)

    assert reply.body == stream
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"


def test_an_event_comes_through_while_the_next_is_not_there_yet(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo"), gap_s=0.3))
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
    first = client.read_chunk()

    assert first.count(b"data:") == 1
    assert client.read_chunk().count(b"data:") == 1


def test_a_stream_without_framing_ends_with_its_connection(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hello"), chunked=False))

    assert client.post(CHAT, BODY).body.endswith(b"data: [DONE]\n\n")


def test_a_responses_stream_comes_back_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    stream = b'event: response.created\ndata: {"type":"response.created"}\n\n'
    stream += b'event: response.completed\ndata: {"type":"response.completed"}\n\n'
    upstream.answer(Sse([stream], done=False))

    assert client.post("/v1/responses", b'{"model":"m","input":"Hi","stream":true}').body == stream


def test_a_reader_who_takes_nothing_holds_the_upstream_back(tmp_path: Path) -> None:
    with ScriptedUpstream(send_buffer_bytes=65536) as flooding:
        flooding.answer(Script([Header("Content-Type", "text/event-stream"), Flood(64 * 2**20)]))
        with (
            proxy_before(flooding.base_url, tmp_path) as running,
            connect(running, receive_buffer_bytes=65536) as slow,
        ):
            slow.send(slow.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            flooding.wait_for_bytes_sent(1)
            sent = settled(lambda: flooding.bytes_sent)

    assert sent < 16 * 2**20


# --- answers without a body -------------------------------------------------------------------------------------------


def test_204_comes_back_without_a_body(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Script([Status(204), Header("Content-Length", "0")]))

    assert client.ask("DELETE", "/v1/x/1").status == 204
    assert client.ask("GET", "/v1/health").status == 200  # the connection is in step


NOT_MODIFIED = {
    "with nothing": [],
    "with the length of what was not sent": [Header("Content-Length", "123")],
    "with a JSON type": [Header("Content-Type", "application/json"), Header("Content-Length", "0")],
}


@pytest.mark.core
@pytest.mark.parametrize("steps", NOT_MODIFIED.values(), ids=NOT_MODIFIED)
def test_304_comes_back_without_a_body(client: WireClient, upstream: Fresh, steps: list[Any]) -> None:
    upstream.answer(Script([Status(304), Header("ETag", '"a"'), *steps, EndHead()]))
    reply = client.ask("GET", "/v1/files/f/content", None, 'If-None-Match: "a"')

    assert (reply.status, reply.header("etag")) == (304, '"a"')
    assert upstream.request.header("If-None-Match") == '"a"'
    assert client.ask("GET", "/v1/health").status == 200


@pytest.mark.parametrize("kind", ["application/json", "audio/mpeg"])
def test_the_answer_to_head_keeps_its_length(client: WireClient, upstream: Fresh, kind: str) -> None:
    upstream.answer(Content(b'{"a":"0123456789"}', kind))
    reply = client.ask("HEAD", "/v1/files/f/content")

    assert (reply.status, reply.header("content-type"), reply.header("content-length")) == (200, kind, "18")
    assert client.ask("GET", "/v1/health").status == 200


def test_part_of_a_file_comes_back_as_206(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(
        Script([Status(206), Header("Content-Type", "a/b"), Header("Content-Range", "bytes 0-1/9"), Body(b"ab")])
    )
    reply = client.ask("GET", "/v1/files/f/content", None, "Range: bytes=0-1")

    assert (reply.status, reply.header("content-range"), reply.body) == (206, "bytes 0-1/9", b"ab")
    assert upstream.request.header("Range") == "bytes=0-1"


@pytest.mark.parametrize("status", [201, 202, 203, 299])
def test_every_success_keeps_its_status(client: WireClient, upstream: Fresh, status: int) -> None:
    upstream.answer(Json({"ok": True}, status=status))

    assert client.post("/v1/batches", BODY).status == status


def test_a_status_nobody_knows_has_an_answer(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json({"ok": True}, status=799, headers=[("X-Should-Retry", "false")]))

    assert client.post("/v1/batches", BODY).status in (502, 799)


# --- encodings nobody asked for ---------------------------------------------------------------------------------------


def undone(reply: Reply) -> bytes:
    """Return the body of a reply that says nothing of an encoding, and whose length is its own."""
    assert reply.header("content-encoding") is None
    assert reply.header("content-length") in (None, str(len(reply.body)))
    return reply.body


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/models", "/v1/files"])
def test_a_gzipped_answer_comes_back_decoded(client: WireClient, upstream: Fresh, target: str) -> None:
    body = json.dumps(completion("Hello " * 1000)).encode()
    upstream.answer(Gzip(body))
    reply = client.post(CHAT, BODY) if target == CHAT else client.ask("GET", target)

    assert undone(reply) == body


@pytest.mark.parametrize("target", [CHAT, "/v1/models"])
def test_a_large_gzipped_answer_comes_back_decoded(client: WireClient, upstream: Fresh, target: str) -> None:
    body = json.dumps(completion("Hello " * 400_000)).encode()
    upstream.answer(Gzip(body))
    reply = client.post(CHAT, BODY) if target == CHAT else client.ask("GET", target)

    assert undone(reply) == body


def test_a_gzipped_file_comes_back_decoded(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Gzip(EVERY_BYTE, "audio/mpeg"))

    assert undone(client.post("/v1/audio/speech", BODY)) == EVERY_BYTE


def test_a_gzipped_stream_comes_back_decoded(client: WireClient, upstream: Fresh) -> None:
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in completion_chunks("Hel", "lo"))
    packed = gzip.compress(stream + b"data: [DONE]\n\n")
    upstream.answer(
        Script(
            [
                Header("Content-Type", "text/event-stream"),
                Header("Content-Encoding", "gzip"),
                EndHead(chunked=True),
                *(Chunk(packed[place : place + 10]) for place in range(0, len(packed), 10)),
            ]
        )
    )

    assert undone(client.post(CHAT, BODY)) == stream + b"data: [DONE]\n\n"


def test_a_gzipped_refusal_comes_back_decoded(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Gzip(b'{"error":{"message":"no","type":"t","param":null,"code":"c"}}', status=422))
    reply = client.post(CHAT, BODY)

    assert (reply.status, json.loads(undone(reply))["error"]["code"]) == (422, "c")


def test_the_echo_of_a_request_equals_the_request(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Echo())
    seen = client.post("/v1/new/endpoint?a=%2F", EVERY_BYTE, "Content-Type: a/b").json()

    assert (seen["method"], seen["target"]) == ("POST", "/v1/new/endpoint?a=%2F")
    assert seen["body_sha256"] == hashlib.sha256(EVERY_BYTE).hexdigest()


# --- afterwards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Json(completion()), Sse(completion_chunks("Hello"))], ids=["whole", "streamed"])
def test_nothing_is_kept_of_an_answer_that_is_over(client: WireClient, upstream: Fresh, answer: Answer) -> None:
    upstream.answer(answer)
    for _ in range(30):
        client.post(CHAT, BODY)
    gc.collect()

    assert sum(isinstance(each, WireAnswer) for each in gc.get_objects()) < 5
