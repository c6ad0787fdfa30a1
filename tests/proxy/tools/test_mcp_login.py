"""Logging in to an MCP server with OAuth: by a page, kept in the keyring, renewed, and never unasked."""

import asyncio
import base64
import hashlib
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.errors.keyring import KeyringAbsent
from proxy.tools.mcp.login import LoginFailed
from proxy.tools.mcp.source import McpSource
from proxy.tools.runner import CallLimits
from waiting import wait_for

LIMITS = CallLimits(20, 10_000, 10_000)


class Guarded(ThreadingHTTPServer):
    """An MCP server and the authorization server beside it; tokens hold for `life_s`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.life_s = 3600
        self.refuses = ""
        self.codes: dict[str, str] = {}
        self.good: set[str] = set()
        self.renewing: set[str] = set()
        self.seen: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Guarded

    def log_message(self, *words: object) -> None:
        pass

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        base, address = self.server.base, urlsplit(self.path)
        self.server.seen.append(address.path)
        if address.path.startswith("/.well-known/oauth-protected-resource"):
            self.answer({"resource": f"{base}/mcp", "authorization_servers": [base]})
        elif address.path.startswith("/.well-known/oauth-authorization-server"):
            self.answer(
                {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/login",
                    "token_endpoint": f"{base}/tokens",
                    "registration_endpoint": f"{base}/register",
                    "response_types_supported": ["code"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif address.path == "/login":
            given = {name: values[0] for name, values in parse_qs(address.query).items()}
            code = secrets.token_hex(8)
            self.server.codes[code] = given["code_challenge"]
            back = {"error": self.server.refuses} if self.server.refuses else {"code": code}
            where = f"{given['redirect_uri']}?{urlencode({**back, 'state': given['state']})}"
            self.answer({}, 302, location=where)
        else:
            self.answer({}, 405)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        self.server.seen.append(path)
        if path == "/register":
            self.answer({**json.loads(body), "client_id": "client-1"}, 201)
        elif path == "/tokens":
            self.give({name: values[0] for name, values in parse_qs(body.decode()).items()})
        elif (self.headers.get("authorization") or "").removeprefix("Bearer ") not in self.server.good:
            self.answer({"error": "invalid_token"}, 401, www_authenticate="Bearer")
        else:
            self.speak(json.loads(body))

    def give(self, given: dict[str, str]) -> None:
        if given["grant_type"] == "authorization_code":
            challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
            allowed = self.server.codes.pop(given["code"], None) == challenge.decode()
        else:
            allowed = given["refresh_token"] in self.server.renewing
        if not allowed:
            self.answer({"error": "invalid_grant"}, 400)
            return
        token, renewal = f"token-{secrets.token_hex(8)}", f"renewal-{secrets.token_hex(8)}"
        self.server.good.add(token)
        self.server.renewing.add(renewal)
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.server.life_s}
        self.answer({**told, "refresh_token": renewal})

    def speak(self, message: dict[str, Any]) -> None:
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "far", "version": "1"}}
        results = {
            "initialize": {"protocolVersion": "2025-03-26", **about},
            "tools/list": {"tools": [{"name": "a", "inputSchema": {}}]},
        }
        if "id" not in message:
            self.answer({}, 202)
        elif message["method"] in results:
            self.answer({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]})
        else:
            error = {"code": -32601, "message": "Method not found"}
            self.answer({"jsonrpc": "2.0", "id": message["id"], "error": error})


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    server = Guarded()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def vault() -> MemoryKeychain:
    return MemoryKeychain()


@pytest.fixture
def source(tmp_path: Path, guarded: Guarded, vault: MemoryKeychain) -> Iterator[McpSource]:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"far": {"url": f"{guarded.base}/mcp"}}}), encoding="utf-8")
    source = McpSource(lambda: file, lambda: LIMITS, vault)
    yield source
    source.stop()


def browse(url: str) -> None:
    """Open a page as a user's browser does, in a thread of its own."""

    def follow() -> None:
        with urllib.request.urlopen(url, timeout=10) as page:
            page.read()

    threading.Thread(target=follow).start()


def status_of(url: str) -> int:
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def test_a_login_is_kept_and_used(source: McpSource, guarded: Guarded, vault: MemoryKeychain) -> None:
    asyncio.run(source.settle(10))
    [problem] = source.problems()
    assert "401" in problem
    assert "tools login" in problem
    assert "/register" not in guarded.seen  # nobody has asked for a login
    assert vault.kept == {}

    assert asyncio.run(source.log_in("far", browse)) == 1

    wait_for(lambda: [tool.name for tool in source.tools] == ["far__a"], "the server's tools", 20)
    assert source.problems() == []
    assert len(vault.kept) == 1


def test_a_token_that_has_run_out_is_renewed_from_the_keyring(
    source: McpSource, guarded: Guarded, vault: MemoryKeychain
) -> None:
    guarded.life_s = 1
    asyncio.run(source.log_in("far", browse))
    before = dict(vault.kept)
    guarded.good.clear()
    time.sleep(1.1)

    guarded.life_s = 3600
    asyncio.run(source.settle(10))

    assert [tool.name for tool in source.tools] == ["far__a"], source.problems()
    assert vault.kept != before


def test_a_login_that_holds_no_more_opens_no_page(source: McpSource, guarded: Guarded) -> None:
    asyncio.run(source.log_in("far", browse))
    guarded.good.clear()
    guarded.renewing.clear()
    guarded.seen.clear()

    asyncio.run(source.settle(10))

    [problem] = source.problems()
    assert "401" in problem
    assert "tools login" in problem
    assert "/login" not in guarded.seen


@pytest.mark.parametrize("way", ["denied", "another state", "no page"])
def test_a_login_that_fails_keeps_nothing(
    source: McpSource, guarded: Guarded, vault: MemoryKeychain, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("proxy.tools.mcp.login.WAIT_S", 1.0)
    guarded.refuses = "access_denied" if way == "denied" else ""

    def show(url: str) -> None:
        if way == "denied":
            browse(url)
        elif way == "another state":
            back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
            browse(f"{back}?code=stolen&state=guessed")

    with pytest.raises(LoginFailed):
        asyncio.run(source.log_in("far", show))

    assert vault.kept == {}


def test_only_the_servers_own_page_is_answered(source: McpSource, vault: MemoryKeychain) -> None:
    refused: list[int] = []

    def show(url: str) -> None:
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]

        def follow() -> None:
            refused.extend(status_of(back.replace("/callback", path)) for path in ("/", "/other?code=a"))
            browse(url)

        threading.Thread(target=follow).start()

    assert asyncio.run(source.log_in("far", show)) == 1
    assert refused == [404, 404]


def test_a_keyring_that_is_not_there_is_no_login(source: McpSource, vault: MemoryKeychain) -> None:
    vault.trouble = KeyringAbsent("nowhere")

    asyncio.run(source.settle(10))

    assert "401" in source.problems()[0]


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"tokens": 3}', '{"tokens": {}, "server": []}'])
def test_what_the_keyring_holds_may_be_anything(source: McpSource, vault: MemoryKeychain, kept: str) -> None:
    asyncio.run(source.log_in("far", browse))
    [name] = vault.kept
    vault.kept[name] = kept

    asyncio.run(source.settle(10))

    assert "401" in source.problems()[0]


def test_a_server_that_is_not_in_the_file_is_named(source: McpSource) -> None:
    with pytest.raises(LookupError):
        asyncio.run(source.log_in("near", browse))
