"""The app behind a plain WSGI server: gunicorn, with its sync and its gthread worker."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from fakes.asking import CHAT
from fakes.environment import environment
from fakes.opening import HANDSHAKE
from fakes.program import run_python
from fakes.scripted_upstream import (
    Content,
    Fin,
    Html,
    Json,
    ScriptedUpstream,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks
from waiting import at_once, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")

BODY = b'{"model":"m", "messages":[]}'
START_S = 20.0
LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Gunicorn:
    """A running gunicorn, and the provider behind its app."""

    port: int
    provider: ScriptedUpstream
    process: "subprocess.Popen[bytes]"

    def connect(self, limit_s: float = 10) -> WireClient:
        return WireClient(self.port, limit_s=limit_s)


@contextmanager
def run_gunicorn(home: Path, worker: str, provider: ScriptedUpstream, *more: str) -> Iterator[Gunicorn]:
    """Run gunicorn with two workers of a kind."""
    log = home / "gunicorn.log"
    workers = ["--worker-class", worker, "--workers", "2", "--threads", "4" if worker == "gthread" else "1"]
    options = ["--bind", "127.0.0.1:0", "--error-logfile", str(log), "--timeout", "8", "--no-control-socket"]
    variables = {
        "OPENAI_BASE_URL": provider.base_url,
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_TIMEOUT": "1.5",
        "PROXY_MAX_BODY_MB": "4",
        "PROXY_MAX_UPLOAD_MB": "4",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *workers, *options, *more, "proxy.web.app:create_app()"],
        env=environment(home, **variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Gunicorn(wait_for_port(process, log), provider, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the master and its workers; how it stops has a test of its own
        process.wait(10)


@pytest.fixture(scope="module", params=["sync", "gthread"])
def gunicorn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with (
        ScriptedUpstream() as provider,
        run_gunicorn(tmp_path_factory.mktemp("home"), request.param, provider) as running,
    ):
        yield running


def wait_for_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Wait until gunicorn says where it listens and answers there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text() if log.exists() else ""
        if found := LISTENING.search(text):
            with WireClient(int(found[1]), limit_s=START_S) as client:
                if client.ask("GET", "/v1/health").status == 200:
                    return int(found[1])
        time.sleep(0.02)
    raise TimeoutError(log.read_text() if log.exists() else "gunicorn wrote nothing")


@pytest.fixture
def upstream(gunicorn: Gunicorn) -> Fresh:
    return Fresh(gunicorn.provider)


@pytest.mark.core
def test_it_chats(gunicorn: Gunicorn, upstream: Fresh) -> None:
    body = json.dumps(completion("Grüße")).encode()
    upstream.answer(Content(body, "application/json", headers=[("X-Request-Id", "req_1"), ("Set-Cookie", "a=1")]))
    with gunicorn.connect() as client:
        reply = client.post(CHAT, BODY)

    assert (reply.status, reply.body, reply.header("x-request-id")) == (200, body, "req_1")
    assert reply.header("set-cookie") is None
    assert upstream.request.body == BODY
    assert upstream.request.header("Authorization") == f"Bearer {UPSTREAM_KEY}"


def test_it_lists_models(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Json({"object": "list", "data": [{"id": "org/m", "object": "model"}]}))
    with gunicorn.connect() as client:
        reply = client.ask("GET", "/v1/models/org%2Fm?a=%2F")

    assert reply.status == 200
    assert upstream.request.path == "/v1/models/org%2Fm"


def test_the_sdk_chats_and_streams(gunicorn: Gunicorn, upstream: Fresh) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{gunicorn.port}/v1", api_key="any", max_retries=0) as sdk:
        upstream.answer(Json(completion("Hello")))
        answer = sdk.chat.completions.create(model="m", messages=[])
        upstream.answer(Sse(completion_chunks("Hel", "lo")))
        chunks = list(sdk.chat.completions.create(model="m", messages=[], stream=True))

    assert answer.choices[0].message.content == "Hello"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"


def test_chunks_arrive_as_they_are_made(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("a", "b", "c"), gap_s=0.2))
    with gunicorn.connect() as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
        times = []
        while client.read_chunk():
            times.append(time.monotonic())

    assert len(times) == 6
    assert times[-1] - times[0] > 0.7


def test_a_stream_comes_byte_for_byte(gunicorn: Gunicorn, upstream: Fresh) -> None:
    chunk = b'data: {"choices":[{"index":0,"finish_reason":"stop","delta":{"content":"\xc3\xbc"}}]}'
    stream = b": comment\r\n\r\n" + chunk + b"\r\n\r\ndata: [DONE]\n\n"
    upstream.answer(Sse([stream], done=False, cut=3))
    with gunicorn.connect() as client:
        assert client.post(CHAT, BODY).body == stream


def test_an_error_of_the_upstream_comes_back(gunicorn: Gunicorn, upstream: Fresh) -> None:
    error = {"error": {"message": "no", "type": "t", "param": None, "code": "own"}}
    upstream.answer(Json(error, status=422))
    with gunicorn.connect() as client:
        reply = client.post(CHAT, BODY)

    assert (reply.status, reply.json()) == (422, error)


def test_an_error_of_ours_comes_back(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Html())
    with gunicorn.connect() as client:
        assert client.post(CHAT, BODY).error["code"] == "upstream_invalid_response"


def test_a_silent_upstream_is_a_timeout(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(SilentBeforeHeaders())
    with gunicorn.connect() as client:
        reply = client.post(CHAT, BODY)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("path", ["/v1/files", "/files"])
def test_3_mb_are_uploaded_byte_for_byte(gunicorn: Gunicorn, upstream: Fresh, path: str) -> None:
    upstream.answer(Json({"id": "f"}))
    content = bytes(range(256)) * 12 * 1024
    with gunicorn.connect() as client:
        assert client.post(path, content, "Content-Type: a/b").status == 200

    assert (upstream.request.target, upstream.request.body) == ("/v1/files", content)
    assert upstream.request.header("Content-Type") == "a/b"


def test_3_mb_of_unknown_length_are_uploaded_byte_for_byte(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Json({"id": "f"}))
    content = bytes(range(256)) * 12 * 1024
    with gunicorn.connect() as client:
        client.send(client.request("POST", "/v1/files", None, "Content-Type: a/b", "Transfer-Encoding: chunked"))
        client.send(in_chunks(*(content[place : place + 100_000] for place in range(0, len(content), 100_000))))
        assert client.read_reply().status == 200

    assert upstream.request.body == content


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_a_body_that_is_too_large_is_refused(gunicorn: Gunicorn, upstream: Fresh, path: str) -> None:
    with gunicorn.connect() as client:
        client.send(client.request("POST", path, None, JSON_TYPE, f"Content-Length: {5 * 2**20}"))

        assert client.read_reply().error["code"] == "request_too_large"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/ui", 404),
        ("POST", "/_tray/link", 404),
        ("PUT", CHAT, 405),
        ("POST", CHAT, 400),
    ],
)
def test_refusals_are_json(gunicorn: Gunicorn, upstream: Fresh, method: str, path: str, status: int) -> None:
    with gunicorn.connect() as client:
        reply = client.ask(method, path, b"no json" if method != "GET" else None)

    assert (reply.status, reply.error["type"]) == (status, "invalid_request_error")
    assert upstream.requests == []


def test_a_foreign_host_and_a_foreign_page_are_refused(gunicorn: Gunicorn) -> None:
    with gunicorn.connect() as client:
        assert client.ask("GET", "/v1/health", None, "Host: evil.example").status == 403
    with gunicorn.connect() as client:
        assert client.ask("GET", "/v1/health", None, "Origin: https://evil.example").status == 403


def test_an_allowed_page_may_read_a_stream(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("a")))
    with gunicorn.connect() as client:
        reply = client.post(CHAT, BODY, "Origin: http://localhost:3000")

    assert reply.header("access-control-allow-origin") == "http://localhost:3000"
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_a_websocket_is_refused_with_the_reason(gunicorn: Gunicorn, upstream: Fresh) -> None:
    with gunicorn.connect() as client:
        reply = client.ask("GET", "/v1/realtime", None, *HANDSHAKE)

    assert (reply.status, reply.error["code"]) == (501, "websocket_unsupported")
    assert "serve" in reply.error["message"]
    assert upstream.requests == []


def test_a_client_who_leaves_a_running_stream_closes_the_upstream(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks(*["word"] * 200), gap_s=0.05))
    with gunicorn.connect() as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
        client.read_chunk()
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 2


def test_a_stream_that_dies_midway_does_not_look_complete(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo", finish=None), done=False, end=Fin()))
    with gunicorn.connect(limit_s=3) as client:
        body = client.post(CHAT, BODY).body

    assert b'"code":"upstream_truncated"' in body
    assert b"[DONE]" not in body


def test_a_large_answer_that_breaks_off_does_not_look_complete(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(ShortBody(completion("x" * 2_000_000)))
    with gunicorn.connect(limit_s=3) as client, pytest.raises((EOFError, ConnectionError)):
        client.post(CHAT, BODY)


def test_it_serves_on_after_all_this(gunicorn: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    for _ in range(6):
        with gunicorn.connect() as client:
            assert client.post(CHAT, BODY).status == 200


def test_every_worker_follows_the_settings_file(tmp_path: Path) -> None:
    at_once(check_every_worker_follows, [(tmp_path / "plain",), (tmp_path / "preload", "--preload")])


def check_every_worker_follows(tmp_path: Path, *more: str) -> None:
    """Write a settings file beside a running server of two workers."""
    tmp_path.mkdir()
    file = tmp_path / "xdg_config_home" / "openai-tray-proxy" / "settings.toml"
    with ScriptedUpstream() as provider, run_gunicorn(tmp_path, "gthread", provider, *more) as running:
        provider.answer(Json(completion()))

        def statuses() -> set[int]:
            """Ask so often that both workers answer."""
            found = set()
            for _ in range(20):
                with running.connect() as client:
                    found.add(client.post(CHAT, BODY).status)
            return found

        assert statuses() == {200}
        file.parent.mkdir(parents=True)
        file.write_text("proxy_require_api_key = true\n")
        wait_for(lambda: statuses() == {401}, "every worker asks for a key")
        file.write_text("proxy_require_api_key = false\n")
        wait_for(lambda: statuses() == {200}, "no worker asks for one")


def test_it_stops_at_once_when_it_has_nothing_to_do(tmp_path: Path) -> None:
    at_once(check_stops_at_once, ((tmp_path / worker, worker) for worker in ("sync", "gthread")))


def check_stops_at_once(tmp_path: Path, worker: str) -> None:
    """Stop a server that has answered."""
    tmp_path.mkdir()
    with ScriptedUpstream() as provider, run_gunicorn(tmp_path, worker, provider) as running:
        provider.answer(Json(completion()))
        for _ in range(4):
            with running.connect() as client:
                assert client.post(CHAT, BODY).status == 200
        running.process.send_signal(signal.SIGTERM)

        assert running.process.wait(5) == 0


def test_a_bug_of_ours_is_a_500_under_any_wsgi_server_and_nobody_is_left_waiting(tmp_path: Path) -> None:
    script = """
import os
from dataclasses import replace
from proxy.services import assemble
from proxy.web.app import create_app

class Broken:
    async def open(self, flow, request):
        raise RuntimeError("a bug")

services = assemble({"openai_api_key": "k"})
client = create_app(replace(services, pipelines={"json": Broken()})).test_client()
host = {"Host": "127.0.0.1"}
answer = client.post("/v1/chat/completions", json={}, headers=host)
print(answer.status_code, answer.json["error"]["code"], flush=True)
os._exit(0)
"""
    outcome = run_python(tmp_path, "-c", script)

    assert outcome.stdout.strip() == "500 server_error", outcome.stderr


def test_nothing_is_left_of_answers_that_nobody_reads_to_the_end(tmp_path: Path) -> None:
    script = """
import asyncio, os, time
from proxy.web import standalone
from proxy.web.app import create_app

client = create_app().test_client()
for _ in range(5):
    answer = client.post("/v1/chat/completions", json={}, headers={"Host": "127.0.0.1"}, buffered=False)
    next(answer.iter_encoded())
    answer.close()
deadline = time.monotonic() + 5
while (left := len(asyncio.all_tasks(standalone.LOOP.loop()))) and time.monotonic() < deadline:
    time.sleep(0.01)
print(left, flush=True)
os._exit(0)
"""
    with ScriptedUpstream() as provider:
        provider.answer(Sse(completion_chunks(*["word"] * 500), gap_s=0.005))
        outcome = run_python(tmp_path, "-c", script, OPENAI_BASE_URL=provider.base_url, OPENAI_API_KEY="k")
        assert outcome.stdout.strip() == "0", outcome.stderr
        provider.wait_for_hangup(count=5)
