"""The fault table, line by line: what the client gets when the way to the upstream fails."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS, WAYS, ask, ask_at_once
from fakes.ports import free_port
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    DripBody,
    Json,
    Pause,
    Raw,
    RawBytes,
    Reset,
    ResetBeforeHeaders,
    Script,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    StaleReuse,
    Stall,
    Step,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.tls_upstream import write_certificate
from fakes.wire_client import JSON_TYPE

# --- refused, unreachable ---------------------------------------------------------------------------------------------


@pytest.mark.core
def test_an_upstream_that_refuses_the_connection_is_unreachable(start: Callable[..., RunningProxy]) -> None:
    port = free_port()
    replies = ask_at_once(start(f"http://127.0.0.1:{port}/v1"), WAYS)

    assert {(reply.status, reply.error["code"]) for reply in replies} == {(502, "upstream_unreachable")}
    assert all(f"127.0.0.1:{port}" in reply.error["message"] for reply in replies)


def test_an_address_that_swallows_connections_is_unreachable_after_5_seconds(
    start: Callable[..., RunningProxy],
) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # more than the system keeps waiting: what comes then gets no answer at all
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        proxy = start(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        began = time.monotonic()
        replies = ask_at_once(proxy, [CHAT, MODELS])

    for reply in replies:
        assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    assert 4.5 < time.monotonic() - began < 7


# --- DNS failure ------------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_told(start: Callable[..., RunningProxy]) -> None:
    replies = ask_at_once(start("https://upstream.invalid/v1"), WAYS)

    assert {(reply.status, reply.error["code"]) for reply in replies} == {(502, "upstream_dns_error")}
    assert all("upstream.invalid" in reply.error["message"] for reply in replies)


# --- TLS failure ------------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_an_upstream_that_speaks_no_tls_is_told_and_not_asked_again(
    upstream: Fresh, start: Callable[..., RunningProxy], way: str
) -> None:
    reply = ask(start(upstream.provider.https_base_url), way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_tls_error")
    assert reply.header("x-should-retry") == "false"
    assert upstream.accepted_connections == 1


def test_a_certificate_file_that_breaks_while_the_proxy_runs_is_named(
    upstream: Fresh, start: Callable[..., RunningProxy], tmp_path: Path
) -> None:
    certificate = tmp_path / "certificate.pem"
    write_certificate(certificate, tmp_path / "key.pem", ("127.0.0.1",))
    proxy = start(upstream.provider.base_url, openai_ca_file=str(certificate))
    certificate.write_text("no certificate")
    reply = ask(proxy)

    assert reply.status >= 500
    assert "OPENAI_CA_FILE" in reply.error["message"]


# --- silent before headers --------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_a_silent_upstream_is_a_timeout_after_one_try(impatient: RunningProxy, upstream: Fresh, way: str) -> None:
    upstream.answer(SilentBeforeHeaders())
    began = time.monotonic()
    reply = ask(impatient, way)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert 0.3 < time.monotonic() - began < 2
    assert len(upstream.requests) == 1
    assert reply.header("x-should-retry") == "false"


def test_a_silent_upstream_is_a_timeout_for_an_upload_too(impatient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(SilentBeforeHeaders())
    with connect(impatient) as client:
        reply = client.post(FILES, bytes(90_000), "Content-Type: a/b")

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"])
def test_an_upstream_that_is_silent_after_an_interim_answer_is_a_timeout(
    impatient: RunningProxy, upstream: Fresh, way: str, interim: bytes
) -> None:
    upstream.answer(Script([Raw(interim), Stall()]))
    reply = ask(impatient, way)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("way", WAYS)
def test_an_upstream_that_says_all_the_time_that_it_works_is_waited_for(
    impatient: RunningProxy, upstream: Fresh, way: str
) -> None:
    working: list[Step] = [Raw(b"HTTP/1.1 102 Processing\r\n\r\n"), Pause(0.15)]
    answer = Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    upstream.answers([Json(completion()), Script([*working * 5, answer])])
    ask(impatient, way)  # the second one finds a connection that was used before

    assert ask(impatient, way).status == 200


def test_an_answer_that_stalls_in_its_body_is_a_timeout(impatient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(ShortBody(completion(), end=Stall()))
    reply = ask(impatient)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


def test_a_slow_answer_that_goes_on_is_no_timeout(impatient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(DripBody(json.dumps({"slow": 1}).encode(), gap_s=0.1))

    assert ask(impatient).json() == {"slow": 1}


# --- closed or garbage before headers ---------------------------------------------------------------------------------

BROKEN_HEADS: dict[str, Answer] = {
    "closed": CloseBeforeHeaders(),
    "reset": ResetBeforeHeaders(),
    "garbage": RawBytes(),
    "half a head": RawBytes(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "a head cut off by a reset": RawBytes(b"HTTP/1.1 200 OK\r\nContent-Ty", Reset()),
    "another protocol": RawBytes(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "an odd length": RawBytes(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}"),
    "an endless head": RawBytes(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n"),
}


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
def test_an_upstream_that_breaks_off_before_its_answer_is_a_502(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, way: str
) -> None:
    upstream.provider.drop_connections()  # a new connection, on which nothing is tried again
    upstream.answer(answer)
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")


@pytest.mark.parametrize("way", WAYS)
def test_an_upstream_that_wants_another_protocol_is_a_502(proxy: RunningProxy, upstream: Fresh, way: str) -> None:
    upstream.answer(RawBytes(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_unexpected_status")


@pytest.mark.parametrize("way", WAYS)
def test_a_control_byte_in_a_header_of_the_upstream_does_not_cost_the_answer(
    proxy: RunningProxy, upstream: Fresh, way: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: a\x01b\r\nContent-Length: 2\r\n\r\n"
    upstream.answer(RawBytes(head + b"{}"))

    assert ask(proxy, way).status in (200, 502)


@pytest.mark.parametrize("answer", [CloseBeforeHeaders(), ResetBeforeHeaders()], ids=["closed", "reset"])
def test_a_new_connection_that_breaks_off_is_not_tried_again(
    proxy: RunningProxy, upstream: Fresh, answer: Answer
) -> None:
    upstream.provider.drop_connections()
    upstream.answer(answer)
    ask(proxy)

    assert len(upstream.requests) == 1


@pytest.mark.core
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("way", WAYS)
def test_a_kept_connection_that_has_died_is_replaced_silently(
    proxy: RunningProxy, upstream: Fresh, way: str, reset: bool
) -> None:
    upstream.provider.drop_connections()
    upstream.answer(StaleReuse(Json(completion("Hello")), reset=reset))
    ask(proxy, way)
    first, *_ = upstream.requests
    reply = ask(proxy, way)

    assert (reply.status, reply.json()) == (200, completion("Hello"))
    stale, again = upstream.requests[1:]
    assert (stale.connection, stale.body) == (first.connection, again.body)
    assert again.connection != first.connection


def test_a_kept_connection_that_has_died_is_replaced_once_only(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.provider.drop_connections()
    upstream.answers([StaleReuse(Json(completion())), CloseBeforeHeaders()])
    ask(proxy)
    reply = ask(proxy)

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")
    assert len(upstream.requests) == 3


def test_a_kept_connection_that_was_answered_on_in_part_is_not_asked_again(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.provider.drop_connections()
    upstream.answers([Json(completion()), RawBytes(b"HTTP/1.1 200 OK\r\nContent-Le")])
    ask(proxy)
    reply = ask(proxy)

    assert reply.status == 502
    assert len(upstream.requests) == 2


# --- network change, sleep and resume ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_the_first_request_after_a_change_of_network_works(proxy: RunningProxy, upstream: Fresh, way: str) -> None:
    upstream.answer(Json(completion("Hello")))
    assert ask(proxy, way).status == 200
    upstream.provider.drop_connections()

    assert ask(proxy, way).status == 200


def test_many_kept_connections_survive_a_change_of_network(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("a"), gap_s=0.02))
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy)) for _ in range(6)]
        for client in clients:
            client.send(client.request("POST", CHAT, BODY, JSON_TYPE))
        for client in clients:
            client.read_reply()
        upstream.provider.drop_connections()
        upstream.answer(Json(completion("Hello")))

        assert [client.post(CHAT, BODY).status for client in clients] == [200] * 6


def test_an_upstream_that_comes_back_is_asked_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    upstream.provider.stop_listening()
    upstream.provider.drop_connections()
    try:
        assert ask(proxy).error["code"] == "upstream_unreachable"
    finally:
        upstream.provider.listen()

    assert ask(proxy).status == 200


# --- keyring locked, absent, hanging ----------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_without_an_upstream_key_requests_are_told_what_to_do(
    upstream: Fresh, start: Callable[..., RunningProxy], way: str
) -> None:
    reply = ask(start("https://gateway.example/v1", openai_api_key=None), way)

    assert (reply.status, reply.error["code"]) == (503, "no_upstream_key")
    assert reply.header("x-should-retry") == "false"
    assert "OPENAI_API_KEY" in reply.error["message"]
    assert upstream.requests == []


def test_without_an_upstream_key_the_proxy_is_healthy(upstream: Fresh, start: Callable[..., RunningProxy]) -> None:
    assert ask(start(upstream.provider.base_url, openai_api_key=None), "/v1/health").status == 200
