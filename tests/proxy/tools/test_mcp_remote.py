"""MCP servers at a URL: the older transport, and what the answers of those that do not come up mean."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fakes.ports import free_port
from proxy.tools.mcp import remote
from proxy.tools.mcp.source import McpSource
from proxy.tools.runner import CallLimits, Runner
from proxy.tools.tool import CallRecord
from proxy.tools.workers import Workers
from waiting import wait_for

SCRIPTED = str(Path(__file__).parents[2] / "fakes" / "mcp_server.py")
LIMITS = CallLimits(seconds=20, arguments_bytes=10_000, result_bytes=10_000)
INITIALIZED = {
    "protocolVersion": "2025-03-26",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "far", "version": "1"},
}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[McpSource]:
    source = McpSource(lambda: tmp_path / "mcp.json", lambda: LIMITS)
    yield source
    source.stop()


def settle(source: McpSource, tmp_path: Path, **servers: Any) -> None:
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    asyncio.run(source.settle(20))


def call(source: McpSource, name: str, **arguments: Any) -> CallRecord:
    workers = Workers()
    found = next((tool for tool in source.tools if tool.name == name), None)
    try:
        return asyncio.run(Runner(workers).run(found, name, json.dumps(arguments), LIMITS))
    finally:
        workers.stop()


class Far(ThreadingHTTPServer):
    """A server at a URL that answers every request alike, but for JSON-RPC where `tools` is given."""

    daemon_threads = True
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    result: bytes | None = None


class Handler(BaseHTTPRequestHandler):
    server: Far

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        status, headers, content = self.server.answer
        if self.server.result is not None:
            method = body.get("method", "")
            results = {
                "initialize": INITIALIZED,
                "tools/list": {"tools": [{"name": "a", "inputSchema": {}}]},
            }
            if method == "tools/call":
                content = self.server.result.replace(b"ID", json.dumps(body["id"]).encode())
            elif method in results:
                content = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": results[method]}).encode()
            elif "id" in body:
                error = {"code": -32601, "message": "Method not found"}
                content = json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error}).encode()
            else:
                status, content = (202, b"") if self.command == "POST" else (405, b"")
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815  as http.server calls it
    do_DELETE = do_GET  # noqa: N815


@contextmanager
def far(answer: tuple[int, dict[str, str], bytes] = (200, {}, b""), result: bytes | None = None) -> Iterator[str]:
    """Run such a server and yield its URL."""
    server = Far(("127.0.0.1", 0), Handler)
    server.answer, server.result = answer, result
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("entry", [{}, {"type": "sse"}, {"type": "http"}])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"www-authenticate": "Bearer"}, b'{"error": "invalid_token"}'), ("401", "login")),
        ((403, {}, b"no"), ("403", "token")),
        ((404, {}, b"not found"), ("404", "nothing is at this address")),
        ((405, {"allow": "GET"}, b"no"), ("405", "SSE")),
        ((500, {}, b"{}"), ("500", "trouble")),
        ((502, {"content-type": "text/html"}, b"<html>"), ("502", "trouble")),
        ((200, {"content-type": "text/html; charset=utf-8"}, b"<html>Sign in</html>"), ("web page", "HTML")),
        ((302, {"location": "https://login.example/?token=s3cr3t"}, b""), ("302", "https://login.example/")),
    ],
)
def test_what_a_server_answers_is_told_with_its_meaning(
    source: McpSource, tmp_path: Path, answer: Any, words: tuple[str, ...], entry: dict[str, str]
) -> None:
    with far(answer) as url:
        settle(source, tmp_path, far={"url": url, **entry})

        [problem] = source.problems()

    assert problem.startswith("The MCP server far does not run: it answers ")
    for word in words:
        assert word in problem
    assert "s3cr3t" not in problem


@pytest.mark.parametrize("entry", [{}, {"type": "sse"}, {"transport": "http"}])
def test_the_older_transport_is_spoken(source: McpSource, tmp_path: Path, entry: dict[str, str]) -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, SCRIPTED, "--sse", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_open(port), "the server listens", 30)
        settle(source, tmp_path, far={"url": f"http://127.0.0.1:{port}/sse", **entry})

        assert call(source, "far__add", a=1, b=2).result == "3", source.problems()
        assert source.problems() == []
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_an_answer_that_is_too_large_fails_its_call_alone(
    source: McpSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_LINE_BYTES", 100_000)
    text = b'{"jsonrpc": "2.0", "id": ID, "result": {"content": [{"type": "text", "text": "%s"}]}}' % (b"x" * 1_000_000)
    with far(result=text) as url:
        settle(source, tmp_path, far={"url": url})
        record = call(source, "far__a")

        assert record.outcome in ("failed", "not connected")
        assert record.seconds < 10
        assert len(record.result) < 500


def test_a_tool_without_a_schema_costs_no_other_server_its_tools(source: McpSource, tmp_path: Path) -> None:
    text = b'{"jsonrpc": "2.0", "id": ID, "result": {"content": "words"}}'
    with far(result=text) as url:
        settle(source, tmp_path, far={"url": url})

        assert [tool.name for tool in source.tools] == ["far__a"], source.problems()
        assert call(source, "far__a").result == "words"
