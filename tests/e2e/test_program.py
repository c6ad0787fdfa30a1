"""The program as a process: what it prints, how it stops, and what it leaves behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.asking import CHAT
from fakes.environment import ROOT
from fakes.program import Program, run_python
from fakes.scripted_upstream import (
    CloseBeforeHeaders,
    Json,
    Sse,
    Stall,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh
from fakes.wire_client import JSON_TYPE, WireClient
from waiting import wait_for

BODY = b'{"model":"m","messages":[]}'
KEYS = {
    "OPENAI_API_KEY": "sk-proj-a-key-that-must-stay-secret-0001",
    "PROXY_API_KEYS": "proxy-key-that-must-stay-secret-0002",
}

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("home"), "serve", "--demo", "--port", "0") as program:
        yield program


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end."""
    return run_python(home, "-m", "proxy", *arguments, **variables)


# --- start ------------------------------------------------------------------------------------------------------------


@pytest.mark.core
def test_serve_prints_the_base_url_it_answers_at(demo: Program) -> None:
    with demo.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200

    assert f"http://127.0.0.1:{demo.port}/v1" in demo.printed


def test_the_demo_says_that_it_is_one(demo: Program) -> None:
    assert demo.port
    assert "This is the demo" in demo.printed
    assert "demo-chat" in demo.printed


def test_check_finds_the_demo_well(demo: Program, tmp_path: Path) -> None:
    outcome = run(tmp_path, "check", "--base-url", demo.base_url)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout.rstrip().endswith("All is well.")
    assert [line.split()[0] for line in outcome.stdout.splitlines()[1:-1]] == ["health", "models", "chat"]


def test_check_tries_a_stream_where_that_is_asked_for(demo: Program, tmp_path: Path) -> None:
    outcome = run(tmp_path, "check", "--stream", "--base-url", demo.base_url)

    assert outcome.returncode == 0, outcome
    assert [line.split()[0] for line in outcome.stdout.splitlines()[1:-1]] == ["health", "models", "chat", "stream"]


def test_check_fails_where_nothing_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = run(tmp_path, "check", "--base-url", f"http://127.0.0.1:{port}/v1")

    assert outcome.returncode == 1
    assert "FAILED" in outcome.stdout
    assert "Traceback" not in outcome.stdout + outcome.stderr


def test_serve_without_a_key_says_what_is_missing(tmp_path: Path) -> None:
    with Program(tmp_path, "serve", "--port", "0") as program:
        with program.connect() as client:
            assert client.post(CHAT, BODY).error["code"] == "no_upstream_key"

        wait_for(lambda: "OPENAI_API_KEY" in program.printed, "the line that says where a key goes")


def test_health_answers_before_the_sdk_is_imported(tmp_path: Path) -> None:
    script = """
import sys
from http.client import HTTPConnection
from proxy.hosting import server_for
from proxy.services import assemble

server = server_for(assemble({"proxy_port": 0, "openai_api_key": "k"}))
address = server.start("127.0.0.1", 0)
connection = HTTPConnection("127.0.0.1", address.port, timeout=10)
connection.request("GET", "/v1/health")
status = connection.getresponse().status
heavy = sorted({"openai", "python_socks", "httpx2"} & set(sys.modules))
print(status, heavy)
connection.close()
server.stop()
"""
    outcome = run_python(tmp_path, "-c", script)

    assert (outcome.stdout.strip(), outcome.stderr) == ("200 []", "")


def test_a_setting_that_is_wrong_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    outcome = run(tmp_path, "serve", "--port", "0", OPENAI_TIMEOUT="soon")

    assert outcome.returncode == 1
    assert "OPENAI_TIMEOUT" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_taken_port_is_one_line_that_names_its_holder_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run(tmp_path, "serve", "--demo", "--port", str(port))

    assert outcome.returncode == 1
    assert f"port {port}" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    if sys.platform == "linux":
        assert f"(process {os.getpid()})" in outcome.stderr


# --- stop -------------------------------------------------------------------------------------------------------------


@pytest.mark.core
@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_with_exit_code_0(tmp_path: Path, name: str) -> None:
    with Program(tmp_path, "serve", "--demo", "--port", "0") as program:
        assert program.port
        program.send(getattr(signal, name))

        assert program.ended() == 0
        assert "Traceback" not in program.printed


@posix_only
def test_a_signal_stops_it_with_exit_code_0_while_a_stream_runs(tmp_path: Path, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", finish=None), done=False, end=Stall()))
    variables = {"OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": "k"}
    with ExitStack() as stack:
        numbers = (signal.SIGHUP, signal.SIGINT)
        programs = [stack.enter_context(Program(tmp_path, "serve", "--port", "0", **variables)) for _ in numbers]
        clients: list[WireClient] = []
        for program in programs:
            client = stack.enter_context(program.connect())
            client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            client.read_chunk()
            clients.append(client)
        for program, number in zip(programs, numbers, strict=True):
            program.send(number)

        assert [program.ended() for program in programs] == [0, 0]
        for client in clients:
            rest = client.read_chunks()
            assert b'"code":"proxy_stopped"' in rest
            assert b"[DONE]" not in rest
        assert "Traceback" not in "".join(program.printed for program in programs)
    upstream.wait_for_hangup(count=2)


@posix_only
def test_a_stream_that_ends_soon_is_complete_when_it_stops(tmp_path: Path, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks(*"abcdefgh"), gap_s=0.1))
    with Program(tmp_path, "serve", "--port", "0", OPENAI_BASE_URL=upstream.base_url, OPENAI_API_KEY="k") as program:
        with program.connect() as client:
            head = client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            program.send(signal.SIGTERM)

            assert client.read_body(head).endswith(b"data: [DONE]\n\n")
        assert program.ended() == 0


@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, upstream: Fresh, name: str) -> None:
    upstream.answer(Sse(completion_chunks("Hel", finish=None), done=False, end=Stall()))
    number = getattr(signal, name)
    variables = {"OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": "k"}
    with Program(tmp_path, "serve", "--port", "0", **variables) as program, program.connect() as client:
        client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
        client.read_chunk()
        program.send(number)
        wait_for(lambda: is_refused(program.port), "the port is closed", 5)
        began = time.monotonic()
        program.send(number)

        assert program.ended() == -number
        assert time.monotonic() - began < 1


def is_refused(port: int) -> bool:
    """Tell whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


@posix_only
def test_after_it_was_killed_it_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with Program(tmp_path, "serve", "--demo", "--port", "0") as program:
        port = program.port
        with WireClient(port) as client:
            assert client.ask("GET", "/v1/health").status == 200
            program.send(signal.SIGKILL)
            program.ended()

    with Program(tmp_path, "serve", "--demo", "--port", str(port)) as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200


# --- what it leaves behind --------------------------------------------------------------------------------------------


@posix_only
def test_no_key_stands_in_any_file_it_wrote_nor_in_what_it_printed(tmp_path: Path, upstream: Fresh) -> None:
    told = {"error": {"message": f"wrong key {KEYS['OPENAI_API_KEY']}", "type": "t", "param": None, "code": "c"}}
    variables = KEYS | {
        "OPENAI_BASE_URL": upstream.base_url,
        "PROXY_REQUIRE_API_KEY": "true",
        "PROXY_LOG_LEVEL": "DEBUG",
        "OPENAI_PARAM_OVERRIDES": '{"user":"me"}',
    }
    with Program(tmp_path, "serve", "--port", "0", "--verbose", **variables) as program:
        key = f"Authorization: Bearer {KEYS['PROXY_API_KEYS']}"
        for answer in (Json(completion()), Json(told, status=401), CloseBeforeHeaders()):
            upstream.answer(answer)
            with program.connect() as client:
                client.post(CHAT, BODY, key)
                client.ask("GET", "/v1/models", None, key)
                client.ask("GET", f"/{KEYS['OPENAI_API_KEY']}?key={KEYS['PROXY_API_KEYS']}", None, key)
                client.ask("GET", "/v1/models", None, f"{key}x")
        program.send(signal.SIGTERM)
        assert program.ended() == 0

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    [log] = [path for path in files if path.name == "proxy.log"]
    assert "/chat/completions" in log.read_text(encoding="utf-8")
    for path in files:
        for secret in KEYS.values():
            assert secret.encode() not in path.read_bytes(), path


@posix_only
def test_what_it_writes_only_its_owner_may_read(demo: Program) -> None:
    assert demo.port
    [log] = wait_for(lambda: list(demo.home.rglob("proxy.log")), "the log")

    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of the log is elsewhere")
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "xdg_state_home").mkdir(mode=0o700)
    (tmp_path / "xdg_state_home" / "openai-tray-proxy").write_text("where a folder should be")
    with Program(tmp_path, "serve", "--demo", "--port", "0") as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200
        assert "cannot be written" in program.printed


def test_config_shows_no_key(tmp_path: Path) -> None:
    outcome = run(tmp_path, "config", **KEYS)

    assert outcome.returncode == 0
    assert "ends in 0001" in outcome.stdout
    for secret in KEYS.values():
        assert secret not in outcome.stdout


def test_it_runs_from_any_folder(tmp_path: Path) -> None:
    outcome = run(tmp_path, "--version")

    assert (outcome.returncode, ROOT.is_dir()) == (0, True)
