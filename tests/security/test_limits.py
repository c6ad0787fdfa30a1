"""Limits: on the size of a head, on everybody's slowness, on the number of connections."""

import asyncio
import errno
import gzip
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT, FILES, ask
from fakes.program import Program
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import DripBody, Json, ScriptedUpstream, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks
from proxy.http.sizes import BodyFraming
from proxy.server.limits import Limits, affordable
from proxy.server.thread import note_trouble
from waiting import wait_for

HEALTH = "/v1/health"
SHORT_S = 0.3
PATIENT = Limits(look_every_s=0.02)

Start = Callable[..., RunningProxy]


def drip(client: WireClient) -> bytes:
    """Send a byte every 20 ms until an answer comes, and return it; b"" where the connection is closed without one."""
    client.socket.settimeout(0.02)
    try:
        for _ in range(500):
            with suppress(TimeoutError):
                client.send(b"x")
                return client.socket.recv(65536)
    except ConnectionError:
        return b""
    pytest.fail("neither an answer came nor the end")


@pytest.fixture
def start(provider: ScriptedUpstream, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a proxy with some limits."""
    with ExitStack() as stack:

        def start(**limits: float) -> RunningProxy:
            return stack.enter_context(
                proxy_before(provider.base_url, tmp_path, limits=replace(PATIENT, **limits))  # type: ignore[arg-type]
            )

        yield start


def test_the_limits_are_those_of_the_policy() -> None:
    limits = Limits()

    assert (limits.head_s, limits.body_s, limits.idle_s, limits.reader_s) == (
        10,
        15,
        75,
        300 if sys.platform == "win32" else 60,
    )


# --- request line 8 kB, head 64 kB or 100 headers ---------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize(("size", "status"), [(8_192, 200), (8_193, 414), (20_000, 414), (300_000, 414)])
def test_a_request_line_over_8_kb_is_a_414(proxy: RunningProxy, upstream: Fresh, size: int, status: int) -> None:
    target = f"{HEALTH}?".ljust(size, "x")
    with connect(proxy) as client:
        reply = client.ask("GET", target)

        assert reply.status == status
        if status == 414:
            assert reply.error["code"] == "address_too_long"
            assert client.read_rest() == b""
    assert upstream.requests == []


@pytest.mark.core
@pytest.mark.parametrize(("count", "status"), [(99, 200), (100, 431), (2_000, 431)])
def test_a_head_of_more_than_100_headers_is_a_431(proxy: RunningProxy, count: int, status: int) -> None:
    with connect(proxy) as client:
        reply = client.ask("GET", HEALTH, None, *(f"X-{number}: a" for number in range(count)))  # and Host

        assert reply.status == status
        if status == 431:
            assert reply.error["code"] == "headers_too_large"
            assert client.read_rest() == b""


@pytest.mark.core
@pytest.mark.parametrize(("size", "status"), [(65_000, 200), (65_600, 431), (250_000, 431), (2_000_000, 431)])
def test_a_head_over_64_kb_is_a_431(proxy: RunningProxy, size: int, status: int) -> None:
    with connect(proxy) as client:
        client.send(client.request("GET", HEALTH, None, "X-Long: " + "x" * size)[:260_000])
        reply = client.read_reply()

    assert reply.status == status


@pytest.mark.parametrize("endless", [b"GET /v1/health HTTP/1.1\r\nX-A: ", b"GET /v1/health?", b"\r\n"])
def test_a_head_without_an_end_is_refused_once_it_is_too_large(proxy: RunningProxy, endless: bytes) -> None:
    with connect(proxy) as client:
        client.send(endless)
        answer = b""
        try:
            for _ in range(200):
                client.send((b"\r\n" if endless == b"\r\n" else b"x") * 1_000)
            answer = client.read_rest()
        except ConnectionError:  # it has closed already
            return

    assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 414 "))


def test_a_large_body_in_one_piece_with_its_head_is_no_large_head(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json({}))
    with connect(proxy) as client:
        for _ in range(3):
            assert client.post(FILES, bytes(500_000), "Content-Type: a/b").status == 200


def test_many_requests_on_one_connection_are_no_large_head(proxy: RunningProxy) -> None:
    with connect(proxy) as client:
        request = client.request("GET", HEALTH, None, "X-Long: " + "x" * 30_000)

        for _ in range(5):
            client.send(request[:20_000])
            assert client.send(request[20_000:]).read_reply().status == 200
        client.send(request * 5)
        assert [client.read_reply().status for _ in range(5)] == [200] * 5


# --- a trailer, and what else wraps a body, has the limits of a head -------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"
SETTLED = 8_000_000  # more bytes of a flood than the two sides of this computer hold between them
ENDLESS = {
    "one trailer": (b"0\r\nX-A: ", b"x" * 10_000),
    "one trailer's name": (b"0\r\n", b"x" * 10_000),
    "many trailers": (b"0\r\n", b"X-A: a\r\n" * 1_000),
    "blanks behind a trailer": (b"0\r\nX-A: a", b" " * 10_000),
    "one extension": (b"1;", b"x" * 10_000),
    "one extension of the last chunk": (b"0;", b"x" * 10_000),
    "many extensions": (b"", b"1;" + b"x" * 10_000 + b"\r\na\r\n"),
    "a chunk's size": (b"", b"0" * 10_000),
}


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, FILES, "/nothing"], ids=["read first", "passed along", "answered early"])
@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_what_wraps_a_body_without_an_end_is_cut_off(
    proxy: RunningProxy, upstream: Fresh, path: str, begin: bytes, more: bytes
) -> None:
    with connect(proxy) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, CHUNKED) + b"1\r\n{\r\n" + begin)
        sent = 0
        with suppress(ConnectionError):
            while sent < 2 * SETTLED:
                client.send(more)
                sent += len(more)
            client.read_rest()

    assert sent < SETTLED
    assert not any(request.complete for request in upstream.requests)


@pytest.mark.core
@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 431), (5_000, 431)])
def test_a_trailer_of_more_than_100_headers_is_a_431(
    proxy: RunningProxy, upstream: Fresh, count: int, status: int
) -> None:
    upstream.answer(Json(completion()))
    trailer = b"".join(b"X-%d: a\r\n" % number for number in range(count))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, CHUNKED) + in_chunks(BODY)[:-2] + trailer + b"\r\n")
        reply = client.read_reply()

        assert reply.status == status
        if status == 431:
            assert reply.error["code"] == "headers_too_large"
            assert client.read_rest() == b""
    assert len(upstream.requests) == (status == 200)


@pytest.mark.core
@pytest.mark.parametrize(("size", "status"), [(65_000, 200), (65_600, 431), (250_000, 431)])
def test_a_trailer_over_64_kb_is_a_431(proxy: RunningProxy, upstream: Fresh, size: int, status: int) -> None:
    upstream.answer(Json(completion()))
    trailer = b"X-Long: " + b"x" * size + b"\r\n"
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, CHUNKED) + in_chunks(BODY)[:-2] + trailer + b"\r\n")
        reply = client.read_reply()

        assert reply.status == status
        assert len(upstream.requests) == (status == 200)


def test_a_trailer_reaches_nobody_and_the_next_request_is_read(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    trailer = b"Authorization: Bearer of-another\r\nX-Title: a\r\n\r\n"
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, CHUNKED) + in_chunks(BODY)[:-2] + trailer)

        assert client.read_reply().status == 200
        assert client.ask("GET", HEALTH).status == 200
    assert (upstream.request.body, upstream.request.header("x-title")) == (BODY, None)


def test_a_body_in_very_many_small_chunks_is_taken(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    body = BODY + b" " * 100_000
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, CHUNKED))
        client.send(b"".join(b"00000001;a=b\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")

        assert client.read_reply().status == 200
    assert upstream.request.body == body


def test_a_body_in_very_many_signed_chunks_is_taken(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    body = BODY + b" " * (1_024 * 2_000 - len(BODY))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, CHUNKED))
        chunks = [body[at : at + 1_024] for at in range(0, len(body), 1_024)]
        client.send(b"".join(b"400;chunk-signature=%b\r\n%b\r\n" % (b"5" * 64, chunk) for chunk in chunks))
        client.send(b"0\r\n\r\n")

        assert client.read_reply().status == 200
    assert upstream.request.body == body


ONE_CHUNK = {  # of two bytes, in packets: the bytes of each, those of the body, the sizes that end in it
    "its size, its bytes, its line end": [(3, 0, 1), (2, 2, 0), (2, 0, 0)],
    "its size in two": [(1, 0, 0), (2, 0, 1), (2, 2, 0), (2, 0, 0)],
    "every byte": [(1, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 0), (1, 0, 0), (1, 0, 0)],
}


@pytest.mark.parametrize("packets", ONE_CHUNK.values(), ids=ONE_CHUNK)
def test_chunks_whose_parts_come_in_packets_of_their_own_are_no_large_head(packets: list[tuple[int, int, int]]) -> None:
    framing = BodyFraming()
    framing.begin()
    framing.add_packet(100)
    for size_bytes, body_bytes, chunks in packets * 40_000:
        for _ in range(chunks):
            framing.add_chunk()
        framing.add_body(body_bytes)
        framing.add_packet(size_bytes)

    assert framing.body_bytes == 80_000


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, FILES])
@pytest.mark.parametrize("begin", [b"0\r\nX-Drip: ", b"1;drip="], ids=["a trailer", "an extension"])
def test_what_wraps_a_body_and_drips_is_given_the_time_of_a_head(
    start: Start, upstream: Fresh, path: str, begin: bytes
) -> None:
    with connect(start(head_s=SHORT_S)) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, CHUNKED) + b"1\r\n{\r\n" + begin)
        answer = drip(client)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert not any(request.complete for request in upstream.requests)


@pytest.mark.core
@pytest.mark.parametrize("broken", [b"", b"no trailer\r\n"], ids=["stalls", "breaks"])
@pytest.mark.parametrize("between", [0, 1])
def test_a_refused_body_behind_a_running_answer_does_not_cut_it(
    start: Start, upstream: Fresh, between: int, broken: bytes
) -> None:
    upstream.answer(Sse(completion_chunks(*["x"] * 12), gap_s=0.06))
    with connect(start(head_s=SHORT_S)) as client:
        behind = client.request("GET", HEALTH) * between + client.request("POST", FILES, None, CHUNKED)
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE) + behind + b"1\r\n{\r\n").read_head()
        client.send(b"0\r\n").read_chunk()
        client.send(broken)

        assert client.read_chunks().endswith(b"data: [DONE]\n\n")  # the stream is whole
        assert [client.read_reply().status for _ in range(between)] == [200] * between
        assert client.read_reply().status == (400 if broken else 408)
        assert client.read_rest() == b""


def test_a_trailer_that_drips_behind_an_early_answer_is_left_after_the_time_of_an_idle_connection(start: Start) -> None:
    with connect(start(idle_s=SHORT_S)) as client:
        client.send(client.request("POST", "/nothing", None, CHUNKED) + b"1\r\n{\r\n0\r\nX-Drip: ")
        assert client.read_reply().status == 404
        assert drip(client) == b""


# --- head complete within 10 s ----------------------------------------------------------------------------------------


@pytest.mark.core
def test_a_head_that_is_not_complete_in_time_is_a_408(start: Start) -> None:
    with connect(start(head_s=SHORT_S)) as client:
        began = time.monotonic()
        reply = client.send(b"GET /v1/health HTTP/1.1\r\nHo").read_reply()

        assert time.monotonic() - began >= SHORT_S
        assert (reply.status, reply.error["code"]) == (408, "request_too_slow")
        assert client.read_rest() == b""


def test_a_head_that_drips_is_given_no_more_time(start: Start) -> None:
    with connect(start(head_s=SHORT_S)) as client:
        client.send(b"GET /v1/health HTTP/1.1\r\nX-Drip: ")
        answer = drip(client)

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_says_nothing_is_closed(start: Start) -> None:
    with connect(start(head_s=SHORT_S)) as client:
        assert client.read_rest() == b""


def test_a_second_head_is_given_its_own_time(start: Start) -> None:
    with connect(start(head_s=SHORT_S)) as client:
        assert client.ask("GET", HEALTH).status == 200
        reply = client.send(b"GET /v1/health HTTP/1.1\r\nHo").read_reply()

    assert reply.status == 408


def test_a_head_that_begins_behind_a_running_answer_does_not_cut_it(start: Start, upstream: Fresh) -> None:
    upstream.answer(DripBody(b"x" * 40, gap_s=0.02, content_type="text/plain"))
    with connect(start(head_s=SHORT_S)) as client:
        client.send(client.request("GET", FILES) + b"GET /v1/hea")

        assert client.read_reply().body == b"x" * 40


# --- body over the limit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_a_body_over_its_limit_is_a_413_at_once(proxy: RunningProxy, upstream: Fresh, path: str) -> None:
    limit_bytes = (1024 if path == FILES else 64) * 2**20  # uploads have a limit of their own
    with connect(proxy) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, f"Content-Length: {limit_bytes + 1}"))
        reply = client.read_reply()  # not a byte of the body was sent

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert upstream.requests == []


def test_a_body_that_unpacks_to_more_than_64_mb_is_a_413(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        reply = client.post(CHAT, gzip.compress(bytes(65 * 2**20)), "Content-Encoding: gzip")

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert upstream.requests == []


def test_a_body_of_very_many_packed_pieces_is_refused_at_once(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        began = time.monotonic()
        reply = client.post(CHAT, gzip.compress(b"") * 400_000, "Content-Encoding: gzip")

    assert (reply.status, reply.error["code"]) == (400, "malformed_request")
    assert time.monotonic() - began < 5
    assert upstream.requests == []


# --- both lengths, odd lengths, control bytes in the head -------------------------------------------------------------

POST = b"POST /v1/files HTTP/1.1\r\nHost: here\r\n"
GET = b"GET /v1/health HTTP/1.1\r\nHost: here\r\n"
ODD = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nabcde",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "no length": POST + b"Content-Length:\r\n\r\nabcde",
    "a length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcde",
    "chunks by another name": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks after gzip": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks before identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of negative size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
    "a chunk of endless size": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab\r\n0\r\n\r\n",
    "a line end within a chunk's extension": POST + b"Transfer-Encoding: chunked\r\n\r\n2;\nab\r\nab\r\n0\r\n\r\n",
    "a folded header": GET + b"X-A: a\r\n b\r\n\r\n",
    "line feeds alone": b"GET /v1/health HTTP/1.1\nHost: here\n\n",
    "a zero byte in a value": GET + b"X-A: a\x00b\r\n\r\n",
    "a zero byte in a name": GET + b"X\x00A: b\r\n\r\n",
    "an escape in a value": GET + b"X-A: a\x1b[31m\r\n\r\n",
    "a delete in a value": GET + b"X-A: a\x7f\r\n\r\n",
    "a carriage return in a value": GET + b"X-A: a\rX-B: b\r\n\r\n",
    "a control byte in the target": b"GET /v1/\x01health HTTP/1.1\r\nHost: here\r\n\r\n",
    "a byte beyond ASCII in the target": b"GET /v1/\xffhealth HTTP/1.1\r\nHost: here\r\n\r\n",
    "a header without a name": GET + b": b\r\n\r\n",
}


@pytest.mark.core
@pytest.mark.parametrize("head", ODD.values(), ids=ODD)
def test_an_odd_length_or_control_byte_is_a_400_and_the_end_of_the_connection(
    proxy: RunningProxy, upstream: Fresh, head: bytes
) -> None:
    with connect(proxy) as client:
        smuggled = client.request("GET", "/v1/models")
        reply = client.send(head.replace(b"here", client.host.encode()) + smuggled).read_reply()

        assert (reply.status, reply.error["code"]) == (400, "malformed_request")
        assert b"HTTP/1.1 200" not in client.read_rest()
    assert not [request for request in upstream.requests if request.complete]


# --- stalled body 15 s ------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("length", [1_000, 5_000_000], ids=["read first", "passed along"])
@pytest.mark.parametrize("path", [CHAT, FILES])
def test_a_body_that_stalls_is_a_408(start: Start, upstream: Fresh, path: str, length: int) -> None:
    upstream.answer(Json(completion()))
    with connect(start(body_s=SHORT_S)) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, f"Content-Length: {length}") + BODY)
        reply = client.read_reply()

        assert (reply.status, reply.error["code"]) == (408, "request_too_slow")
        assert client.read_rest() == b""
    assert not any(request.complete for request in upstream.requests)


def test_a_body_that_drips_is_waited_for(start: Start, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    with connect(start(body_s=0.5)) as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, f"Content-Length: {len(BODY)}"))
        client.socket.settimeout(0.1)
        for byte in BODY[:9]:
            client.send(bytes([byte]))
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
        client.socket.settimeout(5)

        assert client.send(BODY[9:]).read_reply().status == 200


def test_a_client_who_waits_for_100_continue_does_not_stall(start: Start, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    proxy = start(body_s=SHORT_S)
    with connect(proxy) as client:
        head = client.request("POST", CHAT, None, JSON_TYPE, "Expect: 100-continue", f"Content-Length: {len(BODY)}")

        assert client.send(head).read_head().status == 100
        assert client.send(BODY).read_reply().status == 200


def test_a_client_who_waits_for_its_answer_is_not_given_up(start: Start, upstream: Fresh) -> None:
    upstream.answer(DripBody(b"x" * 40, gap_s=0.02, content_type="text/plain"))
    proxy = start(head_s=SHORT_S, body_s=SHORT_S, idle_s=SHORT_S, reader_s=SHORT_S)

    assert ask(proxy, FILES).body == b"x" * 40


# --- idle keep-alive 75 s; a reader that takes nothing for 60 s -------------------------------------------------------


@pytest.mark.core
def test_an_idle_connection_is_closed_after_its_time(start: Start) -> None:
    with connect(start(idle_s=SHORT_S)) as client:
        client.ask("GET", HEALTH)
        began = time.monotonic()

        assert client.read_rest() == b""
        assert time.monotonic() - began >= SHORT_S / 2


def test_a_connection_in_use_is_not_idle(start: Start) -> None:
    with connect(start(idle_s=SHORT_S)) as client:
        deadline = time.monotonic() + 3 * SHORT_S
        while time.monotonic() < deadline:
            assert client.ask("GET", HEALTH).status == 200


@pytest.mark.core
def test_a_reader_that_takes_nothing_is_cut_and_so_is_its_upstream(start: Start, upstream: Fresh) -> None:
    upstream.answer(Json({"text": "x" * 30_000_000}))
    with connect(start(reader_s=SHORT_S), receive_buffer_bytes=4096) as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()

        upstream.wait_for_hangup()
        with pytest.raises((EOFError, ConnectionError)):
            client.read_exactly(30_000_000)


def test_a_slow_reader_that_takes_something_is_served(start: Start, upstream: Fresh) -> None:
    size = 8_000_000
    upstream.answer(Json({"text": "x" * size}))
    with connect(start(reader_s=0.6), receive_buffer_bytes=65536) as client:
        head = client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
        began, length = time.monotonic(), int(str(head.header("content-length")))
        for left in range(length, 0, -200_000):
            client.read_exactly(min(200_000, left))
            time.sleep(0.04)  # the reader's slowness itself

        assert time.monotonic() - began > 1.2


# --- a bound on connections -------------------------------------------------------------------------------------------


@pytest.mark.core
def test_a_connection_beyond_the_bound_is_refused_and_taken_again_when_one_has_left(start: Start) -> None:
    proxy = start(connections=3)
    with ExitStack() as stack:
        first, *_ = [stack.enter_context(connect(proxy)) for _ in range(3)]
        assert first.ask("GET", HEALTH).status == 200
        with connect(proxy) as fourth:
            reply = fourth.read_reply()
            assert (reply.status, reply.error["code"]) == (503, "too_many_connections")
            assert fourth.read_rest() == b""
        first.close()

        def is_taken() -> bool:
            with connect(proxy) as client:
                try:
                    return client.ask("GET", HEALTH).status == 200
                except (ConnectionError, EOFError):  # refused before it had asked
                    return False

        assert wait_for(is_taken, "a connection is taken again")


def test_there_is_room_for_connections_and_their_upstreams_as_far_as_the_system_allows() -> None:
    assert 0 < affordable(100) <= 100
    assert affordable(10**9) < 10**9


FEW_FILES = (
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {0})); from proxy.cli.main import main; main()"
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of this kind")
@pytest.mark.parametrize("files", [90, 110, 160])
def test_a_flood_of_connections_takes_no_file_and_no_line_from_the_others(tmp_path: Path, files: int) -> None:
    home = tmp_path / "few-files"
    home.mkdir()
    command = ("-c", FEW_FILES.format(files))
    with Program(home, "serve", "--demo", "--port", "0", command=command) as program, ExitStack() as stack:
        kept = stack.enter_context(program.connect())
        assert kept.ask("GET", HEALTH).status == 200
        for _ in range(400):
            stack.enter_context(program.connect())
        held_up = [timed(lambda: kept.ask("GET", HEALTH).status) for _ in range(5)]
        with program.connect() as another:
            refused = another.read_reply()

        log = next((home / "xdg_state_home").rglob("proxy.log"))
        wait_for(lambda: "there are too many" in log.read_text(encoding="utf-8"), "the line")

    text = log.read_text(encoding="utf-8")
    assert [status for status, _ in held_up] == [200] * 5
    assert max(seconds for _, seconds in held_up) < 5
    assert refused.error["code"] == "too_many_connections"
    assert "Traceback" not in text
    assert len(text.splitlines()) < 60


def timed(ask: Callable[[], int]) -> tuple[int, float]:
    """Return what came of a question, and how many seconds it took."""
    began = time.monotonic()
    return ask(), time.monotonic() - began


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_that_no_connection_can_be_taken_is_one_sentence_however_often_it_is_tried(
    caplog: pytest.LogCaptureFixture, number: int
) -> None:
    error = OSError(number, os.strerror(number))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(note_trouble)
    for _ in range(3):
        loop.call_exception_handler({"message": "socket.accept() out", "exception": error, "socket": object()})
    loop.call_exception_handler({"message": "something else", "exception": OSError(number, "elsewhere")})
    loop.close()

    *sentences, other = caplog.records
    assert {record.getMessage() for record in sentences} == {
        f"no new connection can be taken, for want of files or memory: {os.strerror(number)}"
    }
    assert not any(record.exc_info for record in sentences)
    assert other.exc_info
