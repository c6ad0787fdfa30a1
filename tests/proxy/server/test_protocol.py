"""HTTP/1 as the proxy speaks it to its clients: what is refused, what is kept alive, and how answers are framed."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from fakes.asking import BODY, CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Delayed, Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks

HEALTH = "/v1/health"
HEALTHY = b'{"status":"ok"}'


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[WireClient]:
    with connect(proxy) as connection:
        yield connection


MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "no version": b"GET /v1/health\r\n\r\n",
    "an unknown version": b"GET /v1/health HTTP/9.9\r\nHost: a\r\n\r\n",
    "an unknown method": b"FETCH /v1/health HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header without a colon": b"GET /v1/health HTTP/1.1\r\nHost a\r\n\r\n",
    "a space before the colon": b"GET /v1/health HTTP/1.1\r\nHost : a\r\n\r\n",
    "a control byte in a header": b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX-A: a\x00b\r\n\r\n",
    "a bare carriage return in a header": b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX-A: a\rX-B: b\r\n\r\n",
    "a length that is no number": b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
    "a negative length": b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length and chunks": (
        b"POST /v1/files HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks that are none": (
        b"POST /v1/files HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n\r\n"
    ),
}


@pytest.mark.core
@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_a_400_in_json_and_the_end_of_its_connection(
    client: WireClient, upstream: Fresh, head: bytes
) -> None:
    reply = client.send(head).read_reply()

    assert (reply.status, reply.error["code"]) == (400, "malformed_request")
    assert reply.header("connection") == "close"
    assert client.read_rest() == b""
    assert upstream.requests == []


FOREIGN_TARGETS = {
    "an absolute one of a foreign host": "GET http://evil.example/v1/health HTTP/1.1",
    "an absolute one of our own": "GET http://127.0.0.1/v1/health HTTP/1.1",
    "an asterisk": "OPTIONS * HTTP/1.1",
    "without its slash": "GET v1/health HTTP/1.1",
}


@pytest.mark.core
@pytest.mark.parametrize("line", FOREIGN_TARGETS.values(), ids=FOREIGN_TARGETS)
def test_a_target_that_is_no_path_is_refused(client: WireClient, upstream: Fresh, line: str) -> None:
    reply = client.send(f"{line}\r\nHost: {client.host}\r\n\r\n".encode()).read_reply()

    assert (reply.status, reply.error["code"]) == (400, "malformed_request")
    assert ("not a network proxy" in reply.error["message"]) is ("://" in line)
    assert upstream.requests == []


WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
TUNNELS = {
    "to a host": b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n",
    "to a path": b"CONNECT / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "to one of our paths": b"CONNECT /v1/health HTTP/1.1\r\nHost: here\r\n\r\n",
    "to an IPv6 address": b"CONNECT [::1]:443 HTTP/1.1\r\nHost: here\r\n\r\n",
    "over HTTP/1.0 and without Host": b"CONNECT api.openai.com:443 HTTP/1.0\r\n\r\n",
    "with a body": b"CONNECT /v1/models HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody",
    "with chunks": b"CONNECT a:1 HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "with an offer": b"CONNECT a:1 HTTP/1.1\r\nHost: here\r\n" + WEBSOCKET + b"\r\n",
    "with something behind it": b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
}


@pytest.mark.core
@pytest.mark.parametrize("head", TUNNELS.values(), ids=TUNNELS)
@pytest.mark.parametrize("size", [1, 7, 1_000], ids=lambda size: f"{size} bytes a packet")
def test_who_takes_the_proxy_for_a_network_proxy_is_told_what_it_is(
    client: WireClient, upstream: Fresh, head: bytes, size: int
) -> None:
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(ConnectionError):  # it may close before the last piece
        for start in range(0, len(head), size):
            client.send(head[start : start + size])
    reply = client.read_reply()

    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert f"http://{client.host}/v1" in reply.error["message"]
    assert (reply.header("connection"), "GET" in str(reply.header("allow"))) == ("close", True)
    assert client.read_rest() == b""
    assert upstream.requests == []


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STOPS = {
    "the preface of HTTP/2": PREFACE,
    "the preface of HTTP/2, with frames": PREFACE + b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
    "the method of that preface": b"PRI / HTTP/1.1\r\nHost: here\r\n\r\n",
    "a method of RTSP": b"DESCRIBE rtsp://here/a RTSP/1.0\r\nHost: here\r\n\r\n",
    "a method of ICE": b"SOURCE /a ICE/1.0\r\nHost: here\r\n\r\n",
    "a tunnel": TUNNELS["to a path"],
    "a tunnel with an offer": TUNNELS["with an offer"],
    "an offer of an unknown protocol": (
        b"GET /v1/health HTTP/1.1\r\nHost: here\r\nConnection: close, Upgrade\r\nUpgrade: foo, bar\r\n\r\n"
    ),
    "two offers": (
        b"GET /v1/health HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Upgrade: TLS/1.0\r\nConnection: close\r\n\r\n"
    ),
    "an offer with chunks": (
        b"POST /v1/nothing HTTP/1.1\r\nHost: here\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    ),
    "a WebSocket where none is": b"GET /v1/health HTTP/1.1\r\nHost: here\r\n" + WEBSOCKET + b"\r\nframes",
    "a WebSocket with a body": (
        b"POST /v1/realtime HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n" + WEBSOCKET + b"\r\nbody"
    ),
}


@pytest.mark.core
@pytest.mark.parametrize("head", STOPS.values(), ids=STOPS)
@pytest.mark.parametrize("before", ["nothing", "an answer", "a request"])
@pytest.mark.usefixtures("upstream")
def test_what_the_parser_stops_at_is_answered_and_others_are_served_on(
    proxy: RunningProxy, client: WireClient, head: bytes, before: str
) -> None:
    head = head.replace(b"here", client.host.encode())
    if before == "an answer":
        assert client.ask("GET", HEALTH).body == HEALTHY
    first = client.request("GET", HEALTH) if before == "a request" else b""
    client.send(first + head)

    if first:
        assert client.read_reply().body == HEALTHY  # each request has its own answer
    assert client.read_reply().status in (200, 400, 404, 405)
    with suppress(EOFError):
        client.socket.shutdown(socket.SHUT_WR)
        client.read_rest()
    with connect(proxy) as another:
        assert another.ask("GET", HEALTH).body == HEALTHY


@pytest.mark.core
@pytest.mark.parametrize("path", [HEALTH, CHAT, "/v1/models", "/nothing"])
def test_a_small_answer_comes_in_one_packet(client: WireClient, upstream: Fresh, path: str) -> None:
    upstream.answer(Json(completion("Hello")))
    asked = client.request("POST", path, BODY, JSON_TYPE) if path == CHAT else client.request("GET", path)
    for _ in range(10):
        client.socket.sendall(asked)
        packet = client.socket.recv(65536)
        head, _, body = packet.partition(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"


def test_a_connection_is_kept_for_more_requests(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))

    replies = [client.ask("GET", HEALTH), client.post(CHAT, BODY), client.ask("GET", "/nothing")]

    assert [reply.status for reply in replies] == [200, 200, 404]
    assert [reply.header("connection") for reply in replies] == [None, None, None]


def test_a_client_that_wants_to_close_gets_its_whole_answer_first(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    reply = client.post(CHAT, BODY, "Connection: close")

    assert (reply.header("connection"), reply.json()) == ("close", completion("Hello"))
    assert client.read_rest() == b""


@pytest.mark.core
def test_a_client_that_wants_to_close_gets_its_whole_stream_first(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hello")))
    reply = client.post(CHAT, BODY, "Connection: close")

    assert reply.header("connection") == "close"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert client.read_rest() == b""


def test_a_client_that_wants_to_close_gets_a_large_answer_whole(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("long " * 1_000_000)))
    reply = client.post(CHAT, BODY, "Connection: close")

    assert reply.json() == completion("long " * 1_000_000)


def test_an_http_1_0_client_is_answered_and_left(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    reply = client.send(client.request("POST", CHAT, BODY, JSON_TYPE, version="HTTP/1.0")).read_reply()

    assert (reply.header("connection"), reply.json()) == ("close", completion("Hello"))
    assert client.read_rest() == b""


@pytest.mark.parametrize("offer", [[], ["Connection: Upgrade", "Upgrade: h2c"]], ids=["", "it offers HTTP/2"])
def test_an_http_1_0_client_is_sent_no_chunks(client: WireClient, upstream: Fresh, offer: list[str]) -> None:
    upstream.answer(Sse(completion_chunks("Hello")))
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE, *offer, version="HTTP/1.0"))
    head = client.read_head()

    assert head.header("transfer-encoding") is None
    assert client.read_rest().startswith(b"data: {")


@pytest.mark.core
def test_head_is_answered_without_a_body(client: WireClient) -> None:
    reply = client.ask("HEAD", HEALTH)

    assert (reply.status, reply.header("content-length")) == (200, str(len(HEALTHY)))
    assert client.ask("GET", HEALTH).body == HEALTHY  # nothing but the head came before


def test_a_refused_head_is_answered_without_a_body(client: WireClient) -> None:
    assert client.ask("HEAD", "/nothing").status == 404
    assert client.ask("GET", HEALTH).body == HEALTHY


@pytest.mark.core
def test_two_requests_in_one_packet_are_answered_in_their_order(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Delayed(Json(completion("Hello")), 0.1))
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE) + client.request("GET", HEALTH))

    assert client.read_reply().json() == completion("Hello")
    assert client.read_reply().body == HEALTHY


def test_a_request_behind_a_stream_waits_for_its_end(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo"), gap_s=0.02))
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE) + client.request("GET", HEALTH))

    assert client.read_reply().body.endswith(b"data: [DONE]\n\n")
    assert client.read_reply().body == HEALTHY


def test_ten_requests_in_one_packet_are_all_answered(client: WireClient) -> None:
    client.send(client.request("GET", HEALTH) * 10)

    assert [client.read_reply().body for _ in range(10)] == [HEALTHY] * 10


@pytest.mark.core
def test_a_client_who_waits_for_100_continue_gets_it_and_its_answer(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    head = client.request("POST", CHAT, None, JSON_TYPE, "Expect: 100-continue", f"Content-Length: {len(BODY)}")

    assert client.send(head).read_head().status == 100
    assert client.send(BODY).read_reply().json() == completion("Hello")
    assert upstream.request.body == BODY


def test_a_client_who_waits_for_100_continue_is_refused_before_it_sends(client: WireClient, upstream: Fresh) -> None:
    head = client.request("POST", CHAT, None, JSON_TYPE, "Expect: 100-continue", "Content-Length: 99999999999")

    assert client.send(head).read_reply().status == 413
    assert upstream.requests == []


@pytest.mark.core
def test_a_chunked_request_is_read_to_its_end(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    client.send(client.request("POST", CHAT, None, JSON_TYPE, "Transfer-Encoding: chunked"))
    client.send(in_chunks(BODY[:5], BODY[5:6], BODY[6:]))

    assert client.read_reply().status == 200
    assert upstream.request.body == BODY


def test_a_request_that_comes_byte_by_byte_is_understood(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in client.request("POST", CHAT, BODY, JSON_TYPE):
        client.send(bytes([byte]))

    assert client.read_reply().json() == completion("Hello")


def test_garbage_behind_a_running_stream_is_not_answered_into_it(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo"), gap_s=0.05))
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
    client.read_chunk()
    client.send(b"\x00garbage\r\n\r\n")

    assert client.read_chunks().endswith(b"data: [DONE]\n\n")  # the stream is whole
    assert client.read_reply().status == 400
    assert client.read_rest() == b""


def test_what_is_refused_behind_running_requests_is_answered_behind_their_answers(
    client: WireClient, upstream: Fresh
) -> None:
    upstream.answer(Delayed(Json(completion("Hello")), 0.2))
    asked = client.request("POST", CHAT, BODY, JSON_TYPE)
    client.send(asked + client.request("GET", HEALTH) + b"CONNECT a:1 HTTP/1.1\r\n\r\n" + asked)

    assert client.read_reply().json() == completion("Hello")
    assert client.read_reply().body == HEALTHY
    assert client.read_reply().status == 405
    assert client.read_rest() == b""
    assert len(upstream.requests) == 1


def test_a_broken_body_behind_a_running_request_is_refused_behind_its_answer(
    client: WireClient, upstream: Fresh
) -> None:
    upstream.answer(Delayed(Json(completion("Hello")), 0.2))
    broken = client.request("POST", "/v1/files", None, "Transfer-Encoding: chunked") + b"no chunk\r\n\r\n"
    client.send(client.request("POST", CHAT, BODY, JSON_TYPE) + broken)

    assert client.read_reply().json() == completion("Hello")
    assert client.read_reply().status == 400
    assert client.read_rest() == b""
    assert len(upstream.requests) == 1


def test_a_body_that_breaks_when_its_request_is_answered_gets_no_second_answer(client: WireClient) -> None:
    client.send(client.request("POST", "/nothing", None, "Transfer-Encoding: chunked"))
    assert client.read_reply().status == 404
    client.send(b"no chunk\r\n\r\n")

    assert client.read_rest() == b""


def test_every_answer_has_a_date(client: WireClient) -> None:
    date = client.ask("GET", HEALTH).header("date")

    assert date is not None
    assert str(time.gmtime().tm_year) in date


def test_no_answer_names_the_server_software(client: WireClient) -> None:
    assert client.ask("GET", HEALTH).header("server") is None


def test_an_offer_of_http_2_is_passed_over_and_its_body_is_read(client: WireClient, upstream: Fresh) -> None:
    # What Java's HttpClient sends with every first request to an http:// address.
    upstream.answer(Json(completion("Hello")))
    reply = client.post(CHAT, BODY, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")

    assert (reply.status, reply.json()) == (200, completion("Hello"))
    assert upstream.request.body == BODY


def test_a_body_that_reads_like_an_offer_of_http_2_arrives_byte_for_byte(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json({}))
    body = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    head = client.request("POST", "/v1/files", None, "Content-Type: text/plain", f"Content-Length: {len(body)}")
    client.send(head)
    with suppress(TimeoutError):  # until the head has been read by itself
        client.socket.settimeout(0.1)
        client.socket.recv(1)
    client.socket.settimeout(3)
    client.send(body)

    assert client.read_reply().status == 200
    assert upstream.request.body == body


def test_an_offer_of_http_2_that_comes_in_two_pieces_is_passed_over(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    asked = client.request("POST", CHAT, BODY, JSON_TYPE, *lines)
    client.send(asked[:60])
    with suppress(TimeoutError):  # until the first piece has been read by itself
        client.socket.settimeout(0.1)
        client.socket.recv(1)
    client.socket.settimeout(3)
    client.send(asked[60:])

    assert client.read_reply().status == 200
    assert upstream.request.body == BODY


def test_a_second_request_that_offers_http_2_is_served_too(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")

    assert client.ask("GET", HEALTH, None, *lines).body == HEALTHY
    assert client.post(CHAT, BODY, *lines).status == 200
    assert upstream.request.body == BODY
