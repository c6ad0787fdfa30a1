"""The app behind ASGI servers that are not ours: uvicorn and hypercorn, with two workers each."""

import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from e2e.any_server import BODY, LIMITS, UnderAnyServer
from fakes.asgi_server import AsgiServer, before, run_asgi, start_asgi
from fakes.asking import CHAT, FILES
from fakes.h2_client import H2Client
from fakes.program import run_python
from fakes.scripted_upstream import (
    AnswerEarly,
    Chunk,
    Content,
    EndHead,
    Fin,
    Flood,
    Header,
    Json,
    Reset,
    Script,
    ScriptedUpstream,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.streaming import STREAM, bytes_of
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks
from waiting import at_once, settled, wait_for

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the servers are stopped by their process group"),
    pytest.mark.timeout(120),
]

SERVERS = ["uvicorn", "hypercorn"]
PROXY_KEY = "proxy-key-0001"
ENDLESS = [Header("Content-Type", "text/event-stream"), EndHead(chunked=True)]


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AsgiServer]:
    home = tmp_path_factory.mktemp("home")
    with run_asgi(request.param, home, "--workers", "2", **before(provider, **LIMITS)) as running:
        yield running
        assert UPSTREAM_KEY not in running.printed


# --- requests and answers ---------------------------------------------------------------------------------------------


class TestUnderAsgiServers(UnderAnyServer):
    """What holds under any server."""


def test_it_lists_models(server: AsgiServer, upstream: Fresh) -> None:
    upstream.answer(Json({"object": "list", "data": [{"id": "org/m", "object": "model"}]}))
    with server.connect() as client:
        assert client.ask("GET", "/v1/models/org%2Fm?a=%2F").status == 200

    assert upstream.request.target == "/v1/models/org%2Fm?a=%2F"
    assert upstream.request.body == b""


def test_head_has_the_length_and_no_body(server: AsgiServer, upstream: Fresh) -> None:
    upstream.answer(Content(b"x" * 1000, "text/plain"))
    with server.connect() as client:
        reply = client.ask("HEAD", "/v1/files/f/content")
        assert (reply.status, reply.header("content-length"), reply.body) == (200, "1000", b"")
        assert client.ask("GET", "/v1/health").status == 200  # on the same connection: nothing was left over

    assert upstream.request.method == "HEAD"


def test_the_sdk_chats_streams_and_uploads(server: AsgiServer, upstream: Fresh) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as sdk:
        answer = sdk.chat.completions.create(model="m", messages=[])
        upstream.answer(Sse(completion_chunks("Hel", "lo")))
        chunks = list(sdk.chat.completions.create(model="m", messages=[], stream=True))
        upstream.answer(
            Json({"id": "f", "object": "file", "bytes": 3, "created_at": 1, "filename": "a", "purpose": "batch"})
        )
        file = sdk.files.create(file=("a", b"abc"), purpose="batch")

    assert answer.choices[0].message.content == "Hello"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert file.id == "f"
    assert b"\r\n\r\nabc\r\n" in upstream.requests[-1].body


@pytest.mark.parametrize("framing", ["Content-Length: 2000000", "Transfer-Encoding: chunked"])
def test_an_upload_goes_up_while_it_arrives(server: AsgiServer, upstream: Fresh, framing: str) -> None:
    upstream.answer(AnswerEarly(Json({"id": "f"}, status=200)))
    begun = in_chunks(bytes(1_000_000))[:-5] if "chunked" in framing else bytes(1_000_000)
    with server.connect() as client:
        client.send(client.request("POST", FILES, None, "Content-Type: a/b", framing) + begun)

        assert client.read_reply().json() == {"id": "f"}
    assert not upstream.request.complete


def test_a_body_of_unknown_length_that_grows_too_large_is_refused(server: AsgiServer, upstream: Fresh) -> None:
    with server.connect() as client:
        client.send(client.request("POST", CHAT, None, JSON_TYPE, "Transfer-Encoding: chunked"))
        with suppress(ConnectionError):
            client.send(in_chunks(b" " * 5 * 2**20))

        assert client.read_reply().error["code"] == "request_too_large"
    assert upstream.requests == []


def test_a_forwarded_address_lets_no_foreign_host_in(server: AsgiServer) -> None:
    told = ("X-Forwarded-Host: 127.0.0.1", "X-Forwarded-For: 127.0.0.1", "Forwarded: host=127.0.0.1")
    with server.connect() as client:
        assert client.ask("GET", "/v1/health", None, "Host: evil.example", *told).status == 403


def test_a_header_with_an_underscore_is_not_taken_for_one_with_a_hyphen(server: AsgiServer, upstream: Fresh) -> None:
    with server.connect() as client:
        assert client.post(CHAT, BODY, "OpenAI_Organization: evil").status == 200

    assert upstream.request.header("OpenAI-Organization") is None


# --- the client leaves ------------------------------------------------------------------------------------------------

PHASES = {
    "before the answer": SilentBeforeHeaders(),
    "within a stream": Sse(completion_chunks(*["word"] * 200), gap_s=0.05),
    "within a stream that is silent": Sse(completion_chunks("a", finish=None), done=False, gap_s=0, end=Flood(0)),
}


@pytest.mark.core
@pytest.mark.parametrize("size", [len(BODY), 3 * 2**20], ids=["small", "3 MB"])
@pytest.mark.parametrize("phase", ["before the answer", "within a stream"])
def test_a_client_who_leaves_closes_the_upstream_at_once(
    server: AsgiServer, upstream: Fresh, phase: str, size: int
) -> None:
    upstream.answer(PHASES[phase])
    with server.connect() as client:
        client.send(client.request("POST", CHAT, BODY + b" " * (size - len(BODY)), JSON_TYPE))
        upstream.wait_for_requests(1)
        if phase != "before the answer":
            client.read_head()
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 1
    assert len(upstream.requests) == 1


def test_a_client_who_leaves_in_the_middle_of_its_upload_ends_it(server: AsgiServer, upstream: Fresh) -> None:
    upstream.answer(AnswerEarly(SilentBeforeHeaders()))
    with server.connect() as client:
        client.send(client.request("POST", FILES, None, "Content-Type: a/b", f"Content-Length: {3 * 2**20}"))
        client.send(bytes(2**20))
        upstream.wait_for_requests(1)
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 1


# --- the answer breaks off --------------------------------------------------------------------------------------------


BROKEN: dict[str, tuple[str, Any]] = {
    "of a known length": (CHAT, ShortBody(completion("x" * 2_000_000))),
    "of a known length, reset": (CHAT, ShortBody(completion("x" * 2_000_000), end=Reset())),
    "in chunks": (
        "/v1/files/f/content",
        Script([Header("Content-Type", "a/b"), EndHead(chunked=True), Chunk(b"x" * 100_000), Fin()]),
    ),
    "in events of a format nobody knows": ("/v1/passed/on", Script([*ENDLESS, Chunk(b"data: 1\n\n"), Fin()])),
}


@pytest.mark.core
@pytest.mark.parametrize(("path", "answer"), BROKEN.values(), ids=BROKEN)
def test_an_answer_that_breaks_off_does_not_look_complete(
    server: AsgiServer, upstream: Fresh, path: str, answer: Any
) -> None:
    upstream.answer(answer)
    with server.connect(limit_s=3) as client:
        client.send(client.request("POST" if path == CHAT else "GET", path, BODY if path == CHAT else None, JSON_TYPE))
        with pytest.raises((EOFError, ConnectionError)):
            client.read_reply()


def test_the_sdk_notices_an_answer_that_breaks_off(server: AsgiServer, upstream: Fresh) -> None:
    upstream.answer(BROKEN["in chunks"][1])
    with (
        openai.OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as sdk,
        pytest.raises(Exception, match=r"incomplete chunked read|peer closed connection|Connection error"),
    ):
        sdk.files.content("f").read()


def test_over_http_2_an_answer_that_breaks_off_does_not_look_complete_either(
    tmp_path: Path, provider: ScriptedUpstream, upstream: Fresh
) -> None:
    with run_asgi("hypercorn", tmp_path, **before(provider)) as server:
        with H2Client(server.port) as client:
            whole = client.ask("POST", CHAT, BODY)
        assert (whole.status, whole.is_complete) == (200, True)
        assert upstream.request.body == BODY
        upstream.answer(BROKEN["in chunks"][1])
        with H2Client(server.port) as client:
            cut = client.ask("GET", "/v1/files/f/content", limit_s=1)

    assert (cut.status, len(cut.body), cut.is_complete) == (200, 100_000, False)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_fifty_open_streams_hold_no_thread(server: AsgiServer, upstream: Fresh) -> None:
    with server.connect() as client:
        client.post(CHAT, BODY)
    threads_before = settled(lambda: sum(worker.num_threads() for worker in server.workers()))
    upstream.answer(Sse(completion_chunks(*["word"] * 300), gap_s=0.05))
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(50)]
        for client in clients:
            client.send(client.request("POST", CHAT, STREAM, JSON_TYPE))
        for client in clients:
            client.read_head()
            assert client.read_chunk()
        # Each worker has one thread for what may block; the second one may have had no use for its own before.
        assert sum(worker.num_threads() for worker in server.workers()) <= threads_before + 1
    upstream.wait_for_hangup(count=50)


def test_a_reader_who_takes_nothing_holds_the_upstream_back(tmp_path: Path) -> None:
    at_once(check_held_back, ((tmp_path / name, name) for name in SERVERS))


def check_held_back(home: Path, name: str) -> None:
    """Have four readers take nothing of a flood, and look at what the server keeps of it."""
    flood = Flood(2**30, bytes_of(*completion_chunks("word " * 200, finish=None)) * 50)
    with (
        ScriptedUpstream(send_buffer_bytes=65_536) as provider,
        run_asgi(name, home, **before(provider)) as server,
        ExitStack() as stack,
    ):
        provider.answer(Json(completion()))
        with server.connect() as client:
            client.post(CHAT, BODY)
        held_before = sum(worker.memory_info().rss for worker in server.workers())
        provider.answer(Script([*ENDLESS, flood]))
        for _ in range(4):
            slow = stack.enter_context(WireClient(server.port, receive_buffer_bytes=65_536))
            slow.send(slow.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()
        provider.wait_for_bytes_sent(4)
        settled(lambda: provider.bytes_sent)

        held_bytes = sum(worker.memory_info().rss for worker in server.workers()) - held_before
        assert held_bytes < 4 * 2**22
        assert provider.bytes_sent < 4 * 2**24  # a hundredth of the flood, which goes on only when it is read


def test_it_serves_on_after_all_this(server: AsgiServer, upstream: Fresh) -> None:
    for _ in range(6):
        with server.connect() as client:
            assert client.post(CHAT, BODY).status == 200
    assert "Task exception was never retrieved" not in server.printed
    assert "was never awaited" not in server.printed


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_a_proxy_key_is_asked_for(tmp_path: Path, provider: ScriptedUpstream, upstream: Fresh, name: str) -> None:
    variables = before(provider, PROXY_REQUIRE_API_KEY="true", PROXY_API_KEYS=PROXY_KEY)
    with run_asgi(name, tmp_path, **variables) as server, server.connect() as client:
        assert client.post(CHAT, BODY).error["code"] == "missing_proxy_key"
        assert client.post(CHAT, BODY, "Authorization: Bearer wrong").error["code"] == "invalid_proxy_key"
        assert upstream.requests == []
        assert client.post(CHAT, BODY, f"Authorization: Bearer {PROXY_KEY}").status == 200
        assert upstream.request.header("Authorization") == f"Bearer {UPSTREAM_KEY}"
        assert PROXY_KEY not in server.printed


def test_every_worker_follows_the_settings_file(tmp_path: Path, provider: ScriptedUpstream) -> None:
    with run_asgi("uvicorn", tmp_path, "--workers", "2", **before(provider)) as server:

        def status() -> int:
            with server.connect() as client:
                return client.ask("GET", "/v1/health", None, "Host: ai.example").status

        assert {status() for _ in range(10)} == {403}
        file = tmp_path / "xdg_config_home" / "openai-tray-proxy" / "settings.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text('proxy_allowed_hosts = ["ai.example"]\n', encoding="utf-8")

        wait_for(lambda: {status() for _ in range(20)} == {200}, "both workers to go by the file")


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    cases = [(name, workers) for name in SERVERS for workers in ("1", "2")]
    with ExitStack() as stack:
        starts = [start_asgi(name, tmp_path, "--workers", workers, PROXY_MAX_BODY_MB="many") for name, workers in cases]
        for case, (process, printed) in zip(cases, map(stack.enter_context, starts), strict=True):
            process.wait(60)

            assert "A setting is wrong: PROXY_MAX_BODY_MB" in printed.read_text(), case


@pytest.mark.parametrize("name", SERVERS)
def test_it_stops_at_once_when_it_has_nothing_to_do(tmp_path: Path, provider: ScriptedUpstream, name: str) -> None:
    with run_asgi(name, tmp_path, "--workers", "2", **before(provider)) as server:
        with server.connect() as client:
            assert client.ask("GET", "/v1/health").status == 200
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(15) in (0, -signal.SIGTERM)  # uvicorn ends with the signal it was sent
        assert "Traceback" not in server.printed


@pytest.mark.parametrize("name", SERVERS)
def test_a_stop_closes_idle_connections_to_the_upstream_properly(tmp_path: Path, name: str) -> None:
    with ScriptedUpstream() as provider, run_asgi(name, tmp_path, **before(provider)) as server:
        provider.answer(Json(completion()))
        with server.connect() as client:
            assert client.post(CHAT, BODY).status == 200
        assert provider.open_connections == 1
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(15)

        provider.wait_for_open_connections(0)


def test_who_waits_when_the_servers_grace_is_over_is_told(tmp_path: Path) -> None:
    with (
        ScriptedUpstream() as provider,
        run_asgi("uvicorn", tmp_path, "--timeout-graceful-shutdown", "1", **before(provider)) as server,
        ExitStack() as stack,
    ):
        provider.answer(Sse(completion_chunks(*["word"] * 1000), gap_s=0.05))
        streaming = stack.enter_context(server.connect())
        streaming.send(streaming.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()
        streaming.read_chunk()
        provider.answer(SilentBeforeHeaders())
        waiting = stack.enter_context(server.connect())
        waiting.send(waiting.request("POST", CHAT, BODY, JSON_TYPE))
        provider.wait_for_requests(2)
        server.process.send_signal(signal.SIGTERM)

        assert b'"code":"proxy_stopped"' in streaming.read_chunks()
        assert waiting.read_reply().error["code"] == "proxy_stopped"
        server.process.wait(15)


@pytest.mark.parametrize("name", SERVERS)
def test_an_upstream_by_its_name_is_reached_on_the_servers_own_loop(tmp_path: Path, name: str) -> None:
    with ScriptedUpstream() as provider:
        provider.answer(Json(completion()))
        by_name = provider.base_url.replace("127.0.0.1", "localhost")  # two addresses, and nobody listens on the first
        with run_asgi(name, tmp_path, **before(by_name)) as server, server.connect() as client:
            assert client.post(CHAT, BODY).status == 200


def test_a_server_without_lifespan_events_has_the_parts_assembled_by_its_first_request(
    tmp_path: Path, provider: ScriptedUpstream, upstream: Fresh
) -> None:
    with run_asgi("uvicorn", tmp_path, "--lifespan", "off", **before(provider)) as server, server.connect() as client:
        assert client.post(CHAT, BODY).status == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(15)
        assert "Traceback" not in server.printed


def test_without_lifespan_events_each_request_is_told_what_keeps_the_proxy_from_starting(tmp_path: Path) -> None:
    with (
        run_asgi("uvicorn", tmp_path, "--lifespan", "off", PROXY_MAX_BODY_MB="many") as server,
        server.connect() as client,
    ):
        reply = client.post(CHAT, BODY)
        assert (reply.status, reply.error["code"]) == (500, "configuration_error")
        assert "PROXY_MAX_BODY_MB" in reply.error["message"]


def test_importing_the_application_does_nothing(tmp_path: Path) -> None:
    script = """
import logging, os, sys, threading
from pathlib import Path
from proxy.web.asgi import app
home = Path(os.environ["HOME"])
written = [str(path) for path in home.rglob("*") if path.is_file()]
brought = {"openai", "websockets", "uvicorn"} & set(sys.modules)
print(written, threading.active_count(), logging.getLogger().handlers, brought)
"""
    outcome = run_python(tmp_path, "-c", script, OPENAI_API_KEY="k", PROXY_MAX_BODY_MB="many")

    assert outcome.stdout.strip() == "[] 1 [] set()", outcome.stderr


# --- where it stands --------------------------------------------------------------------------------------------------


def test_it_serves_below_a_root_path(tmp_path: Path, provider: ScriptedUpstream, upstream: Fresh) -> None:
    for name in SERVERS:
        with (
            run_asgi(name, tmp_path / name, "--root-path", "/ai", **before(provider)) as server,
            server.connect() as client,
        ):
            assert client.post(CHAT, BODY).status == 200
    assert [request.target for request in upstream.requests] == [CHAT, CHAT]


def test_behind_a_load_balancer_the_name_is_allowed_by_the_settings(
    tmp_path: Path, provider: ScriptedUpstream, upstream: Fresh
) -> None:
    with (
        run_asgi("uvicorn", tmp_path, **before(provider, PROXY_ALLOWED_HOSTS="ai.example")) as server,
        server.connect() as client,
    ):
        assert client.post(CHAT, BODY, "Host: ai.example", "X-Forwarded-Proto: https").status == 200
        assert client.post(CHAT, BODY, "Host: other.example").error["code"] == "host_not_allowed"


def test_the_log_goes_to_the_servers_standard_error(server: AsgiServer) -> None:
    assert re.search(r"^\S+ \S+ INFO +proxy\.\S+: proxy-\w+-\d+ POST /chat/completions ", server.printed, re.MULTILINE)
