"""The app behind a plain WSGI server: gunicorn, with its sync and its gthread worker."""

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

from e2e.any_server import BODY, LIMITS, UnderAnyServer
from fakes.asking import CHAT
from fakes.environment import environment
from fakes.opening import HANDSHAKE
from fakes.program import run_python
from fakes.scripted_upstream import (
    Json,
    ScriptedUpstream,
    ShortBody,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.wire_client import JSON_TYPE, WireClient
from waiting import at_once, wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn does not run on Windows")

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
    variables = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": UPSTREAM_KEY, **LIMITS}
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
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
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
def upstream(server: Gunicorn) -> Fresh:
    return Fresh(server.provider)


class TestUnderGunicorn(UnderAnyServer):
    """What holds under any server."""


def test_it_lists_models(server: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Json({"object": "list", "data": [{"id": "org/m", "object": "model"}]}))
    with server.connect() as client:
        reply = client.ask("GET", "/v1/models/org%2Fm?a=%2F")

    assert reply.status == 200
    assert upstream.request.path == "/v1/models/org%2Fm"


def test_the_sdk_chats_and_streams(server: Gunicorn, upstream: Fresh) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="any", max_retries=0) as sdk:
        upstream.answer(Json(completion("Hello")))
        answer = sdk.chat.completions.create(model="m", messages=[])
        upstream.answer(Sse(completion_chunks("Hel", "lo")))
        chunks = list(sdk.chat.completions.create(model="m", messages=[], stream=True))

    assert answer.choices[0].message.content == "Hello"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"


def test_a_websocket_is_refused_with_the_reason(server: Gunicorn, upstream: Fresh) -> None:
    with server.connect() as client:
        reply = client.ask("GET", "/v1/realtime", None, *HANDSHAKE)

    assert (reply.status, reply.error["code"]) == (501, "websocket_unsupported")
    assert "serve" in reply.error["message"]
    assert upstream.requests == []


def test_a_client_who_leaves_a_running_stream_closes_the_upstream(server: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks(*["word"] * 200), gap_s=0.05))
    with server.connect() as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
        client.read_chunk()
        left_at = time.monotonic()

    assert upstream.wait_for_hangup() - left_at < 2


def test_a_large_answer_that_breaks_off_does_not_look_complete(server: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(ShortBody(completion("x" * 2_000_000)))
    with server.connect(limit_s=3) as client, pytest.raises((EOFError, ConnectionError)):
        client.post(CHAT, BODY)


def test_it_serves_on_after_all_this(server: Gunicorn, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    for _ in range(6):
        with server.connect() as client:
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
