"""Bytes in, bytes out: what reaches the upstream is what the client sent, save for the user's own rules."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from fakes.asking import BODY, CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    AnswerEarly,
    Json,
    ScriptedUpstream,
)
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks

EVERY_BYTE = bytes(range(256)) * 300


# --- bodies on their way up -------------------------------------------------------------------------------------------

BODIES = {
    "unknown fields": b'{"model":"m","messages":[],"new_2031":{"a":[1,2,{"b":null}]},"x-y z":true}',
    "an odd order": b'{"zebra":1,"messages":[],"apple":2,"model":"m"}',
    "spaces and line breaks": b' \r\n{\t"model" :\n "m" ,  "messages":[ ]\n}\n\n',
    "escapes": rb'{"model":"m","messages":[{"role":"user","content":"\u00fc \/ \ud83d\ude00 \n"}]}',
    "letters of the world": '{"model":"m","messages":[{"role":"user","content":"Grüße 😀 你好"}]}'.encode(),
    "a name twice": b'{"model":"a","model":"m","messages":[]}',
    "long numbers": b'{"model":"m","seed":123456789012345678901234567890,"top_p":0.10000000000000000001,"t":1E400}',
    "NaN and Infinity": b'{"model":"m","messages":[],"logit_bias":{"1":NaN,"2":-Infinity}}',
    "a lone surrogate": rb'{"model":"m","messages":[{"role":"user","content":"\ud83d"}]}',
    "names of the SDK's own arguments": (
        b'{"model":"m","messages":[],"extra_headers":{"Authorization":"Bearer x"},"extra_body":{},'
        b'"api_base":"http://evil.example","base_url":"http://evil.example","api_key":"k","timeout":1}'
    ),
    "a megabyte": b'{"model":"m","messages":[{"role":"user","content":"' + b"long " * 210_000 + b'"}]}',
}


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_json_body_arrives_byte_for_byte(client: WireClient, upstream: Fresh, path: str, body: bytes) -> None:
    assert client.post(path, body).status == 200

    request = upstream.request
    assert (request.method, request.target) == ("POST", path)
    assert request.body == body
    assert request.header_values("Content-Length") == [str(len(body))]


def test_a_chunked_json_body_arrives_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    client.send(client.request("POST", CHAT, None, JSON_TYPE, "Transfer-Encoding: chunked"))
    client.send(in_chunks(*(BODY[place : place + 7] for place in range(0, len(BODY), 7))))

    assert client.read_reply().status == 200
    assert upstream.request.body == BODY


def test_the_redirecting_fields_of_a_body_lead_nowhere_else(client: WireClient, upstream: Fresh) -> None:
    client.post(CHAT, b'{"model":"m","messages":[],"api_base":"http://evil.example","organization":"org-evil"}')

    assert upstream.request.header("OpenAI-Organization") is None
    assert upstream.request.header("Host") == f"127.0.0.1:{upstream.provider.port}"


# --- parameter rules --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ruled(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(
        provider.base_url,
        tmp_path_factory.mktemp("settings"),
        openai_param_defaults={"temperature": 0.5, "model": "default-model"},
        openai_param_overrides={"user": "me", "o1*": {"reasoning_effort": "low"}},
        openai_param_drop="logit_bias,o1*:temperature",
    ) as running:
        yield running


RULES = {
    "a default fills a gap": (
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":[],"temperature":0.5,"user":"me"}',
    ),
    "a default leaves a value": (
        b'{"model":"m","temperature":1.0 ,"messages":[]}',
        b'{"model":"m","temperature":1.0 ,"messages":[],"user":"me"}',
    ),
    "an override forces": (
        b'{"model":"m", "user": "you", "temperature":1}',
        b'{"model":"m", "user": "me", "temperature":1}',
    ),
    "a drop removes": (
        b'{"model":"m","logit_bias":{"1":5},"user":"x","temperature":1}',
        b'{"model":"m","user":"me","temperature":1}',
    ),
    "a missing model is filled in": (
        b'{"messages":[],"temperature":1}',
        b'{"messages":[],"temperature":1,"user":"me","model":"default-model"}',
    ),
    "rules for one family of models": (
        b'{"model":"o1-mini","temperature":1,"user":"x"}',
        b'{"model":"o1-mini","user":"me","reasoning_effort":"low"}',
    ),
    "all else stays as it was": (
        '{ "model" :"m",\n"temperature":1,"messages":[{"content":"Grüße \\u00fc"}],"user":"x", "n":1e400 }'.encode(),
        '{ "model" :"m",\n"temperature":1,"messages":[{"content":"Grüße \\u00fc"}],"user":"me", "n":1e400 }'.encode(),
    ),
}


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
@pytest.mark.parametrize(("sent", "expected"), RULES.values(), ids=RULES)
def test_the_users_rules_change_what_they_name_and_nothing_else(
    ruled: RunningProxy, upstream: Fresh, sent: bytes, expected: bytes, path: str
) -> None:
    with connect(ruled) as client:
        assert client.post(path, sent).status == 200

    request = upstream.request
    assert json.loads(request.body) == json.loads(expected)
    assert request.header("Content-Length") == str(len(request.body))
    kept = expected.partition(b',"user":"me"')[0]
    assert request.body.startswith(kept)


def test_rules_leave_other_endpoints_alone(ruled: RunningProxy, upstream: Fresh) -> None:
    with connect(ruled) as client:
        client.post("/v1/moderations", b'{"input":"x"}')

    assert upstream.request.body == b'{"input":"x"}'


# --- any method, path, query and body ---------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_every_method_is_passed_on(client: WireClient, upstream: Fresh, method: str) -> None:
    reply = client.ask(method, "/v1/vector_stores/vs_1")

    assert reply.status == 200
    assert (upstream.request.method, upstream.request.target) == (method, "/v1/vector_stores/vs_1")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_goes_with_every_method_that_may_have_one(client: WireClient, upstream: Fresh, method: str) -> None:
    client.ask(method, "/v1/threads/t_1", EVERY_BYTE, "Content-Type: application/octet-stream")

    request = upstream.request
    assert (request.method, request.body) == (method, EVERY_BYTE)
    assert request.header_values("Content-Type") == ["application/octet-stream"]
    assert request.header_values("Content-Length") == [str(len(EVERY_BYTE))]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_without_a_body_announces_none(client: WireClient, upstream: Fresh, method: str) -> None:
    client.ask(method, "/v1/files/f_1")

    request = upstream.request
    assert [request.header(name) for name in ("Content-Type", "Content-Length", "Transfer-Encoding")] == [None] * 3


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_empty_body_stays_empty(client: WireClient, upstream: Fresh, method: str) -> None:
    client.ask(method, "/v1/batches/b_1/cancel")

    request = upstream.request
    assert (request.body, request.header_values("Content-Length")) == (b"", ["0"])
    assert request.header("Transfer-Encoding") is None


def multipart(content: bytes) -> tuple[bytes, str]:
    """Return a form with a file, and its content type."""
    boundary = "----the-boundary"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="ü.bin"\r\n\r\n'
    )
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@pytest.mark.core
@pytest.mark.parametrize("size", [0, 1000, 1_048_576, 3 * 2**20], ids=["empty", "small", "1 MB", "3 MB"])
def test_an_upload_arrives_byte_for_byte(client: WireClient, upstream: Fresh, size: int) -> None:
    form, kind = multipart((EVERY_BYTE * (size // len(EVERY_BYTE) + 1))[:size])
    reply = client.post("/v1/files", form, f"Content-Type: {kind}")

    request = upstream.request
    assert (reply.status, request.header("Content-Type")) == (200, kind)
    assert request.header_values("Content-Length") == [str(len(form))]
    assert request.header("Transfer-Encoding") is None
    assert hashlib.sha256(request.body).digest() == hashlib.sha256(form).digest()


@pytest.mark.core
@pytest.mark.parametrize("size", [1000, 3 * 2**20], ids=["small", "3 MB"])
def test_an_upload_of_unknown_length_arrives_byte_for_byte(client: WireClient, upstream: Fresh, size: int) -> None:
    form, kind = multipart((EVERY_BYTE * (size // len(EVERY_BYTE) + 1))[:size])
    client.send(client.request("POST", "/v1/files", None, f"Content-Type: {kind}", "Transfer-Encoding: chunked"))
    client.send(in_chunks(*(form[place : place + 50_000] for place in range(0, len(form), 50_000))))

    assert client.read_reply().status == 200
    request = upstream.request
    assert request.header("Content-Type") == kind
    assert request.header("Content-Length") is None
    assert request.body == form


def test_an_upload_goes_up_while_it_still_comes_in(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(AnswerEarly(Json({"early": True})))
    size = 3 * 2**20
    client.send(client.request("POST", "/v1/files", None, f"Content-Length: {size}", "Content-Type: a/b"))
    client.send(bytes(size // 2))
    upstream.wait_for_requests(1)
    client.send(bytes(size - size // 2))

    assert client.read_reply().json() == {"early": True}


def test_an_upstream_that_refuses_an_upload_early_is_heard(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(AnswerEarly(Json({"error": {"message": "too large for me", "code": "own"}}, status=413)))
    client.send(client.request("POST", "/v1/files", None, f"Content-Length: {3 * 2**20}", "Content-Type: a/b"))
    client.send(bytes(2 * 2**20))

    reply = client.read_reply()
    assert (reply.status, reply.json()["error"]["code"]) == (413, "own")
