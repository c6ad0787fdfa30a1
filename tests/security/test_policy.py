"""The policy: who gets in, which headers travel, where the key goes, what tools may do, what files look like."""

import json
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS, WAYS, ask, refusal
from fakes.memory_keychain import MemoryKeychain
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Redirect, ScriptedUpstream, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect
from fakes.tool_turns import TOOLS_FILE, called
from fakes.wire_client import JSON_TYPE, Reply
from proxy import paths
from proxy.errors.configuration import SettingError
from proxy.errors.keyring import KeyringAbsent
from proxy.files import write_private
from proxy.logs.log import start_logging
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore

# --- the request body redirects the key -------------------------------------------------------------------------------

SDK_ARGUMENTS: dict[str, Any] = {
    "api_base": "http://127.0.0.1:9/v1",
    "base_url": "http://127.0.0.1:9/v1",
    "api_key": "sk-another-key-000001",
    "extra_headers": {"Authorization": "Bearer other", "X-Extra": "1"},
    "extra_query": {"a": "b"},
    "extra_body": {"c": "d"},
    "organization": "org-other",
    "timeout": 0.001,
    "max_retries": 9,
    "http_client": None,
}


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/responses"])
def test_sdk_arguments_in_a_body_are_fields_that_are_passed_on(proxy: RunningProxy, upstream: Fresh, path: str) -> None:
    body = json.dumps({"model": "m", "messages": [], **SDK_ARGUMENTS}).encode()
    with connect(proxy) as client:
        assert client.post(path, body).status == 200

    request = upstream.request
    assert json.loads(request.body) == json.loads(body)
    assert request.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert request.header("x-extra") is None
    assert request.header("openai-organization") is None
    assert "a=b" not in request.target


@pytest.mark.parametrize("target", ["//127.0.0.1:9/v1/models", "/v1/@127.0.0.1:9/", "/v1//127.0.0.1:9/x", "/v1/..%2f"])
def test_no_target_leads_the_key_elsewhere(proxy: RunningProxy, upstream: Fresh, target: str) -> None:
    with connect(proxy) as client:
        client.ask("GET", target)

    for request in upstream.requests:
        assert request.target.startswith("/v1/")


# --- a redirecting upstream -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("way", WAYS)
def test_a_redirect_is_not_followed_and_is_a_502(proxy: RunningProxy, upstream: Fresh, way: str, status: int) -> None:
    with ScriptedUpstream() as elsewhere:
        upstream.answer(Redirect(f"{elsewhere.base_url}/models", status=status))
        reply = ask(proxy, way)

        assert elsewhere.requests == []
    assert (reply.status, reply.error["code"]) == (502, "upstream_unexpected_status")
    assert reply.header("location") is None


# --- secrets in errors, logs, tracebacks ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_key_the_upstream_quotes_is_in_no_answer_and_no_log(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, way: str, status: int
) -> None:
    upstream.answer(refusal(status, ("X-Should-Retry", "false"), message=f"Incorrect API key: {UPSTREAM_KEY}"))
    log = start_logging()
    log.hide(proxy.services.every_secret)
    with caplog.at_level(logging.DEBUG):
        reply = ask(proxy, way)
    for handler in logging.getLogger().handlers:
        handler.flush()

    assert UPSTREAM_KEY not in reply.body.decode()
    assert UPSTREAM_KEY not in paths.log_file().read_text()


def test_a_key_in_an_address_is_in_no_log(locked: RunningProxy) -> None:
    log = start_logging()
    log.hide(locked.services.every_secret)
    with connect(locked) as client:
        reply = client.ask("GET", f"/v2/the-proxy-key-0001/{UPSTREAM_KEY}?key=the-proxy-key-0001")
    for handler in logging.getLogger().handlers:
        handler.flush()

    assert "the-proxy-key-0001" not in paths.log_file().read_text()
    assert "the-proxy-key-0001" not in reply.body.decode()


# --- prompt injection that runs a tool; tools -------------------------------------------------------------------------


def test_tools_are_off_at_first_and_their_limits_are_those_of_the_policy() -> None:
    settings = Settings.model_validate({})

    assert not settings.enable_tool_execution
    assert (settings.tool_max_rounds, settings.tool_max_calls, settings.tool_timeout) == (5, 8, 30.0)
    assert (settings.tool_max_arguments_kb, settings.tool_max_result_kb) == (64, 64)


@pytest.mark.parametrize(
    "fields", [{}, {"enable_tool_execution": True}, {"tools": [], "tool_choice": "auto"}, {"metadata": {"tools": "on"}}]
)
@pytest.mark.parametrize("lines", [[], ["X-Enable-Tool-Execution: true", "Enable-Tool-Execution: true"]])
def test_no_request_and_no_answer_switches_tools_on(
    proxy: RunningProxy, upstream: Fresh, fields: dict[str, Any], lines: list[str]
) -> None:
    upstream.answer(Json(called(("call_1", "calculator", '{"expression": "1+1"}'))))
    body = json.dumps({"model": "m", "messages": [], **fields}).encode()
    with connect(proxy) as client:
        reply = client.post(CHAT, body, *lines)

    assert reply.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "calculator"
    assert len(upstream.requests) == 1
    assert upstream.request.body == body
    assert not proxy.services.store.current.enable_tool_execution


@pytest.mark.parametrize("name", ["os.system", "eval", "weather; rm", "Weather", "__import__", "../weather"])
def test_only_exact_names_of_the_registry_are_run(
    start_proxy: Callable[..., RunningProxy],
    upstream: Fresh,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    (tmp_path / "function_tools.py").write_text(TOOLS_FILE, encoding="utf-8")
    running = start_proxy(
        openai_base_url=upstream.provider.base_url,
        openai_api_key=UPSTREAM_KEY,
        enable_tool_execution=True,
        function_tools_file=str(tmp_path / "function_tools.py"),
    )
    upstream.answers([Json(called(("call_1", name, "{}"))), Json(completion("done"))])
    with caplog.at_level(logging.INFO), connect(running) as client:
        assert client.post(CHAT, BODY).status == 200

    assert b"It rains" not in upstream.requests[-1].body
    [audit] = [record.getMessage() for record in caplog.records if record.name == "proxy.tools.runner"]
    assert "unknown name" in audit


# --- bind -------------------------------------------------------------------------------------------------------------


def test_it_listens_on_this_computer_alone(proxy: RunningProxy) -> None:
    assert Settings.model_validate({}).proxy_host == "127.0.0.1"
    assert proxy.address.host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-computer"])
def test_another_address_needs_a_required_proxy_key(host: str) -> None:
    with pytest.raises(SettingError, match="PROXY_REQUIRE_API_KEY"):
        SettingsStore(Path("nowhere.toml"), {"proxy_host": host})

    SettingsStore(Path("nowhere.toml"), {"proxy_host": host, "proxy_require_api_key": True})


# --- keys -------------------------------------------------------------------------------------------------------------

KEY = "the-proxy-key-0001"
ROUTES = [("GET", MODELS), ("POST", CHAT), ("GET", "/v1/health"), ("GET", "/nothing"), ("DELETE", "/v1/files/f")]


def knock(proxy: RunningProxy, method: str, path: str, *lines: str) -> Reply:
    with connect(proxy) as client:
        return client.ask(method, path, BODY if method == "POST" else None, JSON_TYPE, *lines)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([], "missing_proxy_key"),
        (["Authorization: Bearer wrong"], "invalid_proxy_key"),
        ([f"Authorization: Bearer {KEY}x"], "invalid_proxy_key"),
        ([f"Authorization: Bearer {KEY[:-1]}"], "invalid_proxy_key"),
        ([f"Authorization: Basic {KEY}"], "missing_proxy_key"),
        ([f"Cookie: key={KEY}"], "missing_proxy_key"),
    ],
)
def test_every_route_is_closed_without_the_right_key(
    locked: RunningProxy, upstream: Fresh, method: str, path: str, lines: list[str], code: str
) -> None:
    reply = knock(locked, method, path, *lines)

    assert (reply.status, reply.error["code"]) == (401, code)
    assert KEY not in reply.body.decode()
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/../v1/models", "//v1/models", "/V1/models", "/v1/models/..%2f", "/v1%2fmodels"])
def test_no_spelling_of_a_path_goes_round_the_key(locked: RunningProxy, upstream: Fresh, path: str) -> None:
    assert knock(locked, "GET", path).status == 401
    assert upstream.requests == []


@pytest.mark.parametrize("line", [f"Authorization: Bearer {KEY}", f"x-api-key: {KEY}", f"authorization: bearer {KEY}"])
def test_the_right_key_is_let_in_and_goes_no_further(locked: RunningProxy, upstream: Fresh, line: str) -> None:
    assert knock(locked, "POST", CHAT, line).status == 200
    assert KEY not in str(upstream.request.headers)
    assert knock(locked, "POST", f"{CHAT}?key={KEY}&api_key={KEY}").status == 401


def test_the_two_kinds_of_wrong_keys_are_told_apart(locked: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(401))
    codes = [knock(locked, "POST", CHAT, f"x-api-key: {key}").error["code"] for key in (KEY, "wrong")]

    assert codes == ["upstream_invalid_api_key", "invalid_proxy_key"]


def test_a_key_is_never_readable_back(proxy: RunningProxy, locked: RunningProxy) -> None:
    state = proxy.services.secrets.state

    assert str(state) == "set, ends in 0001, from the environment"
    for shown in (repr(state), repr(locked.services.proxy_keys.current), repr(proxy.services.store.current)):
        assert UPSTREAM_KEY not in shown
        assert KEY not in shown


# --- request headers upstream -----------------------------------------------------------------------------------------

STAY_HERE = {
    "Authorization": "Bearer of-the-caller",
    "Cookie": "a=b",
    "Origin": "http://localhost:3000",
    "Referer": "http://localhost:3000/page",
    "X-Forwarded-For": "1.2.3.4",
    "Forwarded": "for=1.2.3.4",
    "Proxy-Authorization": "Basic abc",
    "X-Api-Key": "of-the-caller",
    "Keep-Alive": "timeout=5",
    "TE": "trailers",
    "Api-Key": "of-the-caller",
    "X-Goog-Api-Key": "of-the-caller",
    "Sec-Fetch-Site": "same-origin",
}
GO_UP = {
    "OpenAI-Beta": "assistants=v2",
    "OpenAI-Organization": "org-1",
    "OpenAI-Project": "proj-1",
    "Idempotency-Key": "key-1",
    "X-Stainless-Lang": "python",
    "HTTP-Referer": "https://app.example",
    "X-Title": "App",
    "X-Unknown": "1",
}


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_is_the_callers_own_stays_here_and_all_else_goes_up(
    proxy: RunningProxy, upstream: Fresh, path: str
) -> None:
    lines = [f"{name}: {value}" for name, value in (STAY_HERE | GO_UP).items()]
    assert knock(proxy, "POST", path, *lines, "User-Agent: tool/1").status == 200
    request = upstream.request

    assert {name: request.header(name.lower()) for name in GO_UP} == GO_UP
    assert request.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert str(request.header("user-agent")).startswith("tool/1 ")
    assert request.header("host") == f"127.0.0.1:{upstream.provider.port}"
    for name in set(STAY_HERE) - {"Authorization"}:
        assert request.header(name.lower()) is None, name


# --- response headers back --------------------------------------------------------------------------------------------


def test_what_steers_a_browser_stays_there_and_all_else_comes_back(proxy: RunningProxy, upstream: Fresh) -> None:
    back = {"x-request-id": "r1", "openai-processing-ms": "5", "x-ratelimit-limit-requests": "9", "retry-after": "1"}
    back |= {"server": "upstream", "x-unknown": "1", "location": "/v1/realtime/calls/1"}
    kept_away = {
        "set-cookie": "a=b",
        "strict-transport-security": "max-age=1",
        "alt-svc": 'h3=":443"',
        "access-control-allow-origin": "*",
        "clear-site-data": "*",
        "refresh": "0",
        "content-security-policy": "default-src 'none'",
        "www-authenticate": "Basic",
    }
    upstream.answer(Json(completion(), headers=[*back.items(), *kept_away.items()]))
    reply = knock(proxy, "POST", CHAT)

    assert {name: reply.header(name) for name in back} == back
    assert not set(kept_away) & {name for name, _ in reply.headers}


# --- files ------------------------------------------------------------------------------------------------------------

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows guards by the user's profile folder")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@on_posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_folders_are_0700_and_files_0600_whatever_the_umask_was(tmp_path: Path, mask: int) -> None:
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o777)
    before = os.umask(mask)
    try:
        for file in (tmp_path / "new" / "settings.toml", wide / "settings.toml", paths.settings_file()):
            SettingsStore(file).update(proxy_port=9000)
            write_private(file.with_name("state"), b"x")
            assert (mode(file.parent), mode(file), mode(file.with_name("state"))) == (0o700, 0o600, 0o600)
        start_logging()
    finally:
        os.umask(before)

    assert (mode(paths.log_file().parent), mode(paths.log_file())) == (0o700, 0o600)


@on_posix
def test_a_file_is_complete_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("fsync"), fsync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append("rename"), replace(self, to))[1])
    file = tmp_path / "own" / "state"
    write_private(file, b"old")
    write_private(file, b"new")

    assert file.read_bytes() == b"new"
    assert steps == ["fsync", "rename"] * 2
    assert list(file.parent.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own" / "state"
    write_private(file, b"old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_private(file, b"new")

    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


# --- keyring ----------------------------------------------------------------------------------------------------------


class CountingKeychain(MemoryKeychain):
    """A keychain that counts how often it is read, and notes on which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[str] = []

    def read(self, name: str) -> str | None:
        self.readers.append(threading.current_thread().name)
        return super().read(name)


def test_the_keyring_is_read_once_and_off_the_threads_that_serve(provider: ScriptedUpstream, upstream: Fresh) -> None:
    running = RunningProxy(openai_base_url=provider.base_url)
    running.keychain = keychain = CountingKeychain()
    keychain.kept["upstream"] = UPSTREAM_KEY
    with running:
        running.services.load_keys()
        assert running.services.secrets.loaded.wait(5)
        assert [knock(running, "POST", CHAT).status for _ in range(5)] == [200] * 5

    assert keychain.readers.count("keyring") == len(keychain.readers)
    assert "proxy-server" not in keychain.readers
    assert len(keychain.readers) <= 3  # the upstream key, the proxy keys, and whether there were any


def test_a_keyring_that_fails_leads_to_no_file(provider: ScriptedUpstream, empty_computer: Path) -> None:
    running = RunningProxy(openai_base_url=provider.base_url)
    running.keychain = MemoryKeychain(trouble=KeyringAbsent())
    with pytest.raises(KeyringAbsent, match="this session only"):
        running.services.secrets.keep("sk-a-key-without-a-home")
    running.services.secrets.keep_for_session("sk-a-key-without-a-home")

    assert [path for path in empty_computer.rglob("*") if path.is_file()] == []
