"""What the random requests and answers have found, each by its name."""

import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS, NEVER, SOON, ask
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Chunk,
    Content,
    EndHead,
    Fin,
    Header,
    Json,
    Pause,
    Raw,
    Reset,
    Script,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks

ERROR = {"error": {"message": "m", "type": "t", "param": None, "code": "own"}}


@pytest.mark.core
@pytest.mark.parametrize("status", [400, 404, 429, 500])
@pytest.mark.parametrize("way", [CHAT, FILES])
def test_an_error_with_a_header_of_other_letters_arrives(
    proxy: RunningProxy, upstream: Fresh, way: str, status: int
) -> None:
    upstream.answer(Json(ERROR, status=status, headers=[("X-RateLimit-Odd", "gr\xfc\xdfe"), NEVER]))
    reply = ask(proxy, way)

    assert (reply.status, reply.json(), reply.header("x-ratelimit-odd")) == (status, ERROR, "gr\xfc\xdfe")


@pytest.mark.core
@pytest.mark.parametrize("path", ["/v1/files/a%0Ab", "/v1/files/%0A", "/v1/batches/x%0a/y%0D"])
def test_a_path_with_an_encoded_line_break_is_passed_on(client: WireClient, upstream: Fresh, path: str) -> None:
    upstream.answer(Json({}))

    assert client.ask("GET", path).status == 200
    assert upstream.request.target == path


@pytest.mark.core
@pytest.mark.parametrize("blanks", [" ", "\t", " \t "])
def test_blanks_behind_a_header_belong_to_no_value(
    client: WireClient, proxy: RunningProxy, upstream: Fresh, blanks: str
) -> None:
    upstream.answer(Json(completion("Hello")))
    lines = [f"Host: 127.0.0.1:{proxy.address.port}", "Origin: http://localhost:3000", "User-Agent: tool", JSON_TYPE]
    reply = client.ask("POST", CHAT, BODY, *(line + blanks for line in lines))

    assert (reply.status, reply.header("access-control-allow-origin")) == (200, "http://localhost:3000")
    assert str(upstream.request.header("user-agent")).startswith("tool openai-tray-proxy/")


@pytest.mark.core
def test_what_stands_behind_a_body_is_no_header(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    lines = "".join(
        f"{line}\r\n" for line in ("X-Title: behind", "Idempotency-Key: behind", "Origin: https://evil.example")
    )
    body = in_chunks(BODY).removesuffix(b"\r\n") + lines.encode() + b"\r\n"
    client.send(client.request("POST", CHAT, None, JSON_TYPE, "Transfer-Encoding: chunked") + body)

    assert client.read_reply().status == 200
    assert upstream.request.header("x-title") is upstream.request.header("idempotency-key") is None
    assert upstream.request.body == BODY


@pytest.mark.parametrize("status", [200, 404, 500])
def test_head_is_told_the_length_whatever_the_status(client: WireClient, upstream: Fresh, status: int) -> None:
    upstream.answer(Content(b"x" * 32, status=status, headers=[SOON]))
    reply = client.ask("HEAD", FILES)

    assert (reply.status, reply.header("content-length")) == (status, "32")


@pytest.mark.core
@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json", "text/event-stream"])
@pytest.mark.parametrize("path", [FILES, MODELS])
def test_an_answer_without_a_length_that_is_reset_is_not_complete(
    proxy: RunningProxy, upstream: Fresh, kind: str, path: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode()
    upstream.answer(Script([Raw(head + b'{"half": 1}'), Pause(0.05), Reset()]))

    try:
        reply = ask(proxy, path, limit_s=5)
    except (EOFError, ConnectionError):
        return  # half of it was shown, and cut
    assert (reply.status, reply.error["code"]) == (502, "upstream_truncated")


@pytest.mark.core
@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
@pytest.mark.parametrize("end", [Fin(), Reset()], ids=["closed", "reset"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_request_whose_answer_had_begun_is_not_sent_again(
    proxy: RunningProxy, upstream: Fresh, part: bytes, end: Fin | Reset, size: str
) -> None:
    upstream.provider.drop_connections()
    upstream.answers([Json(completion()), Script([Raw(part), Pause(0.05), end])])
    ask(proxy)
    with connect(proxy) as client:
        reply = client.post(FILES, b"x" * (400_000 if size == "large" else 10))

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")
    assert len(upstream.requests) == 2


@pytest.mark.core
def test_an_http_1_0_client_sees_that_its_answer_breaks_off(client: WireClient, upstream: Fresh) -> None:
    octets = Header("Content-Type", "application/octet-stream")
    upstream.answer(Script([octets, EndHead(chunked=True), Chunk(b"half of it"), Pause(0.05), Fin()]))
    client.send(client.request("GET", FILES, None, version="HTTP/1.0"))
    head = client.read_head()
    assert head.header("transfer-encoding") is head.header("content-length") is None

    with pytest.raises(ConnectionResetError):
        client.read_exactly(1_000)


def test_an_http_1_0_client_gets_a_whole_answer_with_a_proper_end(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hello")))
    client.send(client.request("GET", FILES, None, version="HTTP/1.0"))
    client.read_head()

    assert client.read_rest().endswith(b"data: [DONE]\n\n")
