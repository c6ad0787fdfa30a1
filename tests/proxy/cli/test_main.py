"""The command line: config shows what is in force, check what is wrong, serve starts or says in one line why not."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fakes.environment import ROOT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Html,
    Json,
    RawBytes,
    ScriptedUpstream,
    Sse,
    Text,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.cli.main import cli
from proxy.errors.configuration import EnvironmentBroken
from proxy.identity import __version__
from proxy.settings.model import Settings, variable

LIMIT_S = 30

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot ask a program to stop with SIGTERM")

MODELS = {
    "object": "list",
    "data": [
        {"id": name, "object": "model", "created": 1, "owned_by": "someone"}
        for name in ("embedder", "gpt-test", "other")
    ],
}


def run(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, list(arguments))


def run_program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as the user does."""
    command = [sys.executable, "-m", "proxy", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def write_settings(text: str) -> Path:
    path = paths.settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def has_failed(result: Result) -> bool:
    """Tell whether a command ended by its own decision, with a code that says so, and not by a crash."""
    return result.exit_code == 1 and isinstance(result.exception, SystemExit)


# key


def test_key_set_says_how_to_hand_a_key_over_where_it_cannot_be_asked_for() -> None:
    result = run("key", "set")

    assert result.exit_code == 2
    assert "pass the key with --stdin" in result.output


# config


def shown(result: Result) -> dict[str, tuple[str, str]]:
    """Return what `config` shows: variable to (value, origin)."""
    lines = [re.fullmatch(r"([A-Z_]+) +(.+?)  +(\S.*)", line.strip()) for line in result.output.splitlines()]
    return {line[1]: (line[2], line[3]) for line in lines if line}


def test_config_shows_every_setting_once() -> None:
    result = run("config")

    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines() if line and "Settings file" not in line]
    assert names == [variable(field) for field in Settings.model_fields]


def test_config_shows_values_and_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings('openai_timeout = 5\nproxy_allowed_origins = ["https://a.example"]\n')
    monkeypatch.setenv("PROXY_PORT", "9001")

    values = shown(run("config"))

    assert values["OPENAI_TIMEOUT"] == ("5.0", "settings file")
    assert values["PROXY_ALLOWED_ORIGINS"] == ("https://a.example", "settings file")
    assert values["PROXY_PORT"] == ("9001", "environment")
    assert values["PROXY_HOST"] == ("127.0.0.1", "default")


def test_config_shows_of_a_key_only_that_it_is_set_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-secret-wxyz")
    monkeypatch.setenv("PROXY_API_KEYS", "proxy-secret-one1,short")

    result = run("config")

    assert shown(result)["OPENAI_API_KEY"] == ("set, ends in wxyz", "environment")
    assert shown(result)["PROXY_API_KEYS"] == ("set, ends in one1, set", "environment")
    assert "secret" not in result.output
    assert "short" not in result.output


def test_config_names_the_settings_file_and_says_when_there_is_none() -> None:
    assert f"Settings file: {paths.settings_file()} (not there yet)" in run("config").output

    path = write_settings("proxy_port = 9001\n")

    assert f"Settings file: {path}\n" in run("config").output


# check


@pytest.fixture
def good(upstream: Fresh) -> ScriptedUpstream:
    """Script a provider that answers all that `check` asks."""
    upstream.answer(Json(MODELS), path="/v1/models")
    upstream.answers([Json(completion("I am here.")), Sse(completion_chunks("I ", "am."))], path="/v1/chat/completions")
    return upstream


@pytest.fixture
def standing_in(good: ScriptedUpstream) -> ScriptedUpstream:
    """Script a provider that can itself be checked, health too."""
    good.answer(Json({"status": "ok"}), path="/v1/health")
    return good


def test_check_tries_health_models_and_a_chat(good: ScriptedUpstream, proxy: RunningProxy) -> None:
    result = run("check", "--base-url", proxy.base_url)

    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        f"Checking {proxy.base_url}",
        'health   {"status":"ok"}',
        "models   3 listed, such as embedder, gpt-test, other",
        "chat     gpt-test: 'I am here.'",
        "All is well.",
    ]
    assert [request.path for request in good.requests] == ["/v1/models", "/v1/chat/completions"]


def test_check_tries_a_stream_if_asked(good: ScriptedUpstream, proxy: RunningProxy) -> None:
    result = run("check", "--base-url", proxy.base_url, "--stream")

    assert result.exit_code == 0, result.output
    assert re.search(r"^stream   gpt-test: 'I am\.' in \d+ chunks$", result.output, re.MULTILINE)
    assert json.loads(good.requests[-1].body)["stream"] is True


def test_check_tries_a_stream_where_the_environment_asks(
    monkeypatch: pytest.MonkeyPatch, good: ScriptedUpstream, proxy: RunningProxy
) -> None:
    monkeypatch.setenv("STREAM_TEST", "1")

    result = run("check", "--base-url", proxy.base_url)

    assert result.exit_code == 0, result.output
    assert "stream   " in result.output


def test_check_chats_with_the_model_it_is_given(good: ScriptedUpstream, proxy: RunningProxy) -> None:
    result = run("check", "--base-url", proxy.base_url, "--model", "my-model")

    assert result.exit_code == 0, result.output
    assert json.loads(good.requests[-1].body)["model"] == "my-model"


def test_check_finds_the_proxy_by_its_settings(
    monkeypatch: pytest.MonkeyPatch, good: ScriptedUpstream, proxy: RunningProxy
) -> None:
    monkeypatch.setenv("PROXY_PORT", str(proxy.address.port))

    result = run("check")

    assert result.exit_code == 0, result.output
    assert f"Checking http://127.0.0.1:{proxy.address.port}/v1" in result.output


@pytest.mark.parametrize(
    ("host", "base_url"),
    [("0.0.0.0", "http://127.0.0.1:1/v1"), ("::", "http://[::1]:1/v1"), ("::1", "http://[::1]:1/v1")],
)
def test_check_knows_under_which_address_a_listener_is_reached(
    monkeypatch: pytest.MonkeyPatch, host: str, base_url: str
) -> None:
    monkeypatch.setenv("PROXY_HOST", host)
    monkeypatch.setenv("PROXY_PORT", "1")
    monkeypatch.setenv("PROXY_REQUIRE_API_KEY", "true")

    assert f"Checking {base_url}\n" in run("check").output


@pytest.fixture
def locked(good: ScriptedUpstream, start_proxy: Any) -> RunningProxy:
    """Run a proxy that asks for a key."""
    started: RunningProxy = start_proxy(
        openai_base_url=good.base_url,
        openai_api_key="sk-1",
        proxy_require_api_key=True,
        proxy_api_keys="a-proxy-key",
    )
    return started


def test_check_brings_the_proxy_key_of_the_environment(monkeypatch: pytest.MonkeyPatch, locked: RunningProxy) -> None:
    monkeypatch.setenv("PROXY_API_KEY", "a-proxy-key")

    result = run("check", "--base-url", locked.base_url)

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("key", "code"), [("wrong-proxy-key", "invalid_proxy_key"), (None, "missing_proxy_key")])
def test_check_with_a_wrong_key_or_none_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, locked: RunningProxy, key: str | None, code: str
) -> None:
    if key:
        monkeypatch.setenv("PROXY_API_KEY", key)

    result = run("check", "--base-url", locked.base_url)

    assert has_failed(result)
    assert re.search(rf"^FAILED .*401.*{code}", result.output, re.MULTILINE)
    assert "All is well" not in result.output
    assert "wrong-proxy-key" not in result.output


def test_check_says_when_nothing_listens_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

    result = run("check", "--base-url", f"http://127.0.0.1:{port}/v1")

    assert has_failed(result)
    assert "nothing answers there" in result.output


def test_check_repeats_what_the_proxy_says_of_its_upstream(start_proxy: Any) -> None:
    proxy = start_proxy(openai_base_url="http://127.0.0.1:1/v1", openai_api_key="sk-1")

    result = run("check", "--base-url", proxy.base_url)

    assert has_failed(result)
    assert re.search(r"^FAILED .*502.*cannot be reached", result.output, re.MULTILINE)


def test_check_says_when_there_is_no_upstream_key(start_proxy: Any) -> None:
    result = run("check", "--base-url", start_proxy().base_url)

    assert has_failed(result)
    assert re.search(r"^FAILED .*503.*OPENAI_API_KEY", result.output, re.MULTILINE)


@pytest.mark.parametrize(
    ("answer", "path", "said"),
    [
        (Json({"object": "list", "data": []}), "/v1/models", "lists no models"),
        (Json(completion("")), "/v1/chat/completions", "holds no text"),
        (Json({**completion(), "choices": []}), "/v1/chat/completions", "holds no text"),
        (Json({"error": {"message": "no such model"}}, status=404), "/v1/chat/completions", "no such model"),
        (Json({"detail": "gone"}, status=404), "/v1/health", "health answered 404"),
    ],
)
def test_check_tells_an_answer_that_is_none(
    standing_in: ScriptedUpstream, answer: Answer, path: str, said: str
) -> None:
    standing_in.answer(answer, path=path)

    result = run("check", "--base-url", standing_in.base_url)

    assert has_failed(result)
    assert re.search(rf"^FAILED .*{said}", result.output, re.MULTILINE)


@pytest.mark.parametrize(
    "chunks",
    [
        completion_chunks("Hi", finish=None),
        [*completion_chunks("Hi", finish=None), {"error": {"message": "it broke", "code": "upstream_truncated"}}],
    ],
)
def test_check_tells_a_stream_that_broke_off(standing_in: ScriptedUpstream, chunks: list[dict[str, Any]]) -> None:
    standing_in.answers([Json(completion("Hi")), Sse(chunks)], path="/v1/chat/completions")

    result = run("check", "--base-url", standing_in.base_url, "--stream")

    assert has_failed(result)
    assert "FAILED   " in result.output


@pytest.mark.parametrize(
    "answer",
    [Html("<html>another server</html>"), Text("another server"), Json([]), RawBytes(b"SSH-2.0-OpenSSH_9.2\r\n")],
    ids=["page", "text", "list", "no HTTP"],
)
def test_check_says_in_one_line_that_another_server_answers(upstream: Fresh, answer: Answer) -> None:
    upstream.answer(answer)

    result = run("check", "--base-url", upstream.base_url)

    assert has_failed(result), repr(result.exception)
    assert result.output.splitlines()[-1].startswith("FAILED   ")


@pytest.mark.parametrize("base_url", ["localhost", "127.0.0.1:8000/v1", "ftp://127.0.0.1/v1", "http://[::1/v1"])
def test_check_says_in_one_line_that_a_base_url_is_none(base_url: str) -> None:
    result = run("check", "--base-url", base_url)

    assert has_failed(result), repr(result.exception)
    assert result.output.splitlines()[-1].startswith("FAILED   ")


def test_check_says_in_one_line_that_a_proxy_key_cannot_be_one(
    monkeypatch: pytest.MonkeyPatch, standing_in: ScriptedUpstream
) -> None:
    monkeypatch.setenv("PROXY_API_KEY", "sch\u00fcssel")

    result = run("check", "--base-url", standing_in.base_url)

    assert has_failed(result), repr(result.exception)


def test_check_asks_the_proxy_itself_whatever_proxy_the_system_prescribes(
    monkeypatch: pytest.MonkeyPatch, standing_in: ScriptedUpstream
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    result = run("check", "--base-url", standing_in.base_url)

    assert result.exit_code == 0, result.output


# serve


@contextmanager
def serving(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `serve` until the end of the block, and end it as a service manager does."""
    command = [sys.executable, "-u", "-m", "proxy", "serve", "--port", "0", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as program:
        try:
            yield program
            program.send_signal(signal.SIGTERM)
            program.communicate(timeout=LIMIT_S)
        finally:
            program.kill()
    assert program.returncode == 0


def read_start(program: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return the base URL a starting program tells, and all it says up to its last line."""
    said = ""
    assert program.stdout is not None
    for line in program.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    found = re.search(r"^Base URL for your tools:  (http://\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1], said


def health(base_url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{base_url}/health", timeout=LIMIT_S) as answer:
        return int(answer.status)


@on_posix
def test_serve_goes_on_where_its_log_cannot_be_written() -> None:
    folder = paths.log_file().parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")

    with serving() as program:
        base_url, said = read_start(program)

        assert "Log:  cannot be written" in said
        assert health(base_url) == 200


@on_posix
def test_serve_says_that_there_is_no_upstream_key_though_there_are_proxy_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_API_KEYS", "a-proxy-key")

    with serving() as program:
        base_url, said = read_start(program)

        assert "Upstream key:  not set: This system offers no safe keyring." in said
        assert health(base_url) == 200


@on_posix
def test_serve_stops_whichever_thread_the_signal_meets() -> None:
    program = (
        "import signal, threading\n"
        "from proxy.cli.serve import run\n"
        "def stop(): signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "def say(line): threading.Timer(0.3, stop).start() if 'Ctrl-C' in line else None\n"
        "run({'proxy_port': 0}, demo=False, to_terminal=False, is_read=False, say=say)\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=30, check=False)

    assert ended.returncode == 0


def test_serve_on_a_taken_port_ends_with_one_line_that_names_the_holder() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

        ended = run_program("serve", "--port", str(port))

    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"port {port} is taken by " in line
    assert f"(process {os.getpid()})" in line
    assert "--port" in line


@pytest.mark.parametrize("words", [["config"], ["key", "status"], ["proxy-key", "list"], ["doctor"], ["page"]])
def test_a_bad_value_takes_no_diagnosis_away(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("PROXY_HOST", "0.0.0.0")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")

    ended = run_program(*words)

    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    assert "sk-hidden" not in said
    assert "PROXY_HOST is '0.0.0.0' (from the environment)" in said


def test_serve_ends_at_a_bad_value_with_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_HOST", "0.0.0.0")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")

    ended = run_program("serve")

    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert "PROXY_HOST is '0.0.0.0' (from the environment)" in line
    assert "turn PROXY_REQUIRE_API_KEY on first" in line
    assert "sk-hidden" not in line


def test_check_leaves_a_bad_value_to_the_one_line_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PORT", "many")

    result = run("check")

    assert isinstance(result.exception, EnvironmentBroken)
    assert "PROXY_PORT is 'many'" in str(result.exception)


def test_serve_at_an_address_that_is_not_this_computers_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_REQUIRE_API_KEY", "true")

    ended = run_program("serve", "--host", "192.0.2.1", "--port", "0")  # TEST-NET-1 (RFC 5737)

    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert "cannot listen on 192.0.2.1" in line


@pytest.mark.parametrize("option", ["--port=65536", "--port=-1", "--port=x", "--no-such-option"])
def test_a_wrong_option_is_a_usage_error(option: str) -> None:
    result = run("serve", option)

    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_the_version_is_told() -> None:
    assert __version__ in run("--version").output


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert len(result.output.splitlines()[2].strip()) > 10


def test_what_others_wrote_is_printed_without_keys_and_cannot_steer_the_terminal(
    standing_in: ScriptedUpstream,
) -> None:
    standing_in.answer(Json({"data": [{"id": "m\x1b]0;owned\x07 sk-proj-0123456789"}]}), path="/v1/models")
    printed = run("check", "--base-url", standing_in.base_url).output

    assert "m\\x1b]0;owned\\x07 sk-pr[key]" in printed
