"""The scripted upstream knows its connections, and leaves nothing behind."""

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import closing

import pytest

from fakes.raw_client import GET, RawClient
from fakes.scripted_upstream import (
    Answer,
    Delayed,
    Flood,
    Recorded,
    Script,
    ScriptedUpstream,
    SilentBeforeHeaders,
    Sse,
    Step,
    Text,
)


def test_a_client_that_breaks_off_its_body_has_hung_up(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))

    client.send(b"POST /v1/files HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf").close()

    upstream.wait_for_hangup()
    assert [(request.body, request.complete) for request in upstream.requests] == [(b"half", False)]


def test_a_client_that_leaves_after_the_answer_has_not_hung_up(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Sse(["a"]))

    client.send(GET).read_answer()
    client.close()

    upstream.wait_for_open_connections(0)
    assert upstream.hangups == []


def test_a_client_that_resets_a_running_stream_has_hung_up(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Script([Flood(10**9)]))
    client.send(GET).read_until(b"x")

    client.close()

    upstream.wait_for_hangup()


def test_a_reader_that_takes_nothing_holds_the_flood_back() -> None:
    with ScriptedUpstream(send_buffer_bytes=65536) as upstream, closing(RawClient(upstream.port)) as client:
        upstream.answer(Script([Flood(10**8)]))
        client.send(GET)
        upstream.wait_for_bytes_sent(1)

        with pytest.raises(TimeoutError):
            upstream.wait_for_bytes_sent(20_000_000, timeout_s=0.5)


def test_tls_is_met_with_plain_http(upstream: ScriptedUpstream) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as raw,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1")

    upstream.wait_for_open_connections(0)
    assert upstream.not_http_connections == 1
    assert upstream.https_base_url == f"https://127.0.0.1:{upstream.port}/v1"


def test_a_server_that_stopped_listening_refuses_and_comes_back(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(Text("ok"))
    client.send(GET).read_answer()

    upstream.stop_listening()
    upstream.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        RawClient(upstream.port)
    assert client.send(GET).read_answer()[2] == b"ok"

    upstream.listen()
    upstream.listen()
    with closing(RawClient(upstream.port)) as other:
        assert other.send(GET).read_answer()[2] == b"ok"


def test_dropped_connections_are_reset_and_nobody_is_blamed(upstream: ScriptedUpstream, client: RawClient) -> None:
    upstream.answer(SilentBeforeHeaders())
    client.send(GET)
    upstream.wait_for_requests(1)

    upstream.drop_connections()

    with pytest.raises(ConnectionResetError):
        client.read_to_fin()
    assert (upstream.hangups, upstream.open_connections, upstream.accepted_connections) == ([], 0, 1)


def test_waiting_in_vain_says_for_what(upstream: ScriptedUpstream) -> None:
    with pytest.raises(TimeoutError, match="2 requests"):
        upstream.wait_for_requests(2, timeout_s=0.05)


def test_many_clients_are_served_at_once(upstream: ScriptedUpstream) -> None:
    upstream.answer(Delayed(Text("ok"), 0.2))
    clients = [RawClient(upstream.port).send(GET) for _ in range(200)]
    start = time.monotonic()

    bodies = [client.read_answer()[2] for client in clients]

    assert bodies == [b"ok"] * 200
    assert time.monotonic() - start < 5
    for client in clients:
        client.close()


def test_leaving_the_block_ends_the_thread_and_running_answers() -> None:
    with ScriptedUpstream() as upstream:
        upstream.answer(SilentBeforeHeaders())
        client = RawClient(upstream.port).send(GET)
        upstream.wait_for_requests(1)

    with closing(client):
        assert all(thread.name != "scripted-upstream" for thread in threading.enumerate())
        assert client.says_nothing()
        assert upstream.hangups == []


def test_an_answer_that_fails_fails_the_test() -> None:
    class Broken(Answer):
        def script(self, request: Recorded) -> Iterable[Step]:
            raise ZeroDivisionError

    def serve() -> None:
        with ScriptedUpstream() as upstream, closing(RawClient(upstream.port)) as client:
            upstream.answer(Broken())
            client.send(GET).read_to_fin()

    with pytest.raises(ZeroDivisionError):
        serve()
