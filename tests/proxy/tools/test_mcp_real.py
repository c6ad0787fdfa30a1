"""MCP servers as they are: what they inherit, say last, write where they should not, and leave behind."""

import base64
import json
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.mcp_desk import LIMITS, McpDesk
from proxy.tools.mcp import environment, lines
from proxy.tools.mcp.schemas import normalised
from proxy.tools.rich_result import output_of
from proxy.tools.runner import CallLimits
from waiting import wait_for

RAW = str(Path(__file__).parents[2] / "fakes" / "raw_mcp_server.py")

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="shells and process groups of POSIX")


def raw(**script: Any) -> dict[str, Any]:
    """Return the entry of a scripted server."""
    return {"command": sys.executable, "args": [RAW, json.dumps(script)]}


def tool(name: str, schema: Any = None) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"} if schema is None else schema}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[McpDesk]:
    desk = McpDesk(tmp_path / "mcp.json")
    yield desk
    desk.stop()


def environment_of(desk: McpDesk, **entry: Any) -> dict[str, str]:
    desk.write(srv={**raw(tools=[tool("environment")]), **entry})
    found: dict[str, str] = json.loads(desk.call("srv__environment", CallLimits(30, 10_000, 1_000_000)).result)
    return found


INHERITED = (
    *("HTTPS_PROXY", "http_proxy", "NO_PROXY", "ALL_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"),
    *("REQUESTS_CA_BUNDLE", "LANG", "LC_ALL", "TZ", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"),
    *("DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "GNUPGHOME", "npm_config_registry", "UV_INDEX_URL", "TMPDIR"),
)
KEPT_BACK = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "PROXY_API_KEYS", "ANTHROPIC_API_KEY", "GITHUB_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "npm_config__authToken", "UV_PUBLISH_TOKEN", "UV_INDEX_A_PASSWORD", "PYTHONPATH"),
    *("LD_PRELOAD", "NODE_OPTIONS"),
)


def test_servers_get_the_networks_and_the_sessions_variables_and_no_keys(
    desk: McpDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (*INHERITED, *KEPT_BACK):
        monkeypatch.setenv(name, str(tmp_path) if name == "TMPDIR" else "" if name == "LD_PRELOAD" else "some-value")

    found = environment_of(desk, env={"OWN": "mine", "LANG": "de_DE.UTF-8"})

    assert [name for name in INHERITED if name not in found] == []
    assert [name for name in KEPT_BACK if name in found] == []
    assert found["OWN"] == "mine"
    assert found["LANG"] == "de_DE.UTF-8"


@on_posix
def test_a_program_that_only_the_login_shell_finds_is_started(
    desk: McpDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools, home = tmp_path / "node" / "bin", tmp_path / "other home"
    tools.mkdir(parents=True)
    home.mkdir()
    program = tools / "uvx-of-nvm"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (home / ".profile").write_text(f'echo noise\nexport PATH="{tools}:$PATH"\n', encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SHELL", "/bin/sh")

    desk.write(srv={**raw(tools=[tool("a")]), "command": "uvx-of-nvm"})

    assert desk.names == ["srv__a"], desk.source.problems()


@on_posix
@pytest.mark.parametrize("shell", ["", "/no/such/shell", "relative", "hangs"])
def test_a_program_that_is_nowhere_is_named(
    desk: McpDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
) -> None:
    monkeypatch.setattr(environment, "SHELL_S", 0.3)
    if shell == "hangs":
        path = tmp_path / "shell"
        path.write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
        path.chmod(0o755)
        shell = str(path)
    monkeypatch.setenv("SHELL", shell)

    desk.write(srv={"command": "no-such-npx", "args": ["-y", "x"]})

    [problem] = desk.source.problems()
    assert problem.startswith("The MCP server srv does not run: the program 'no-such-npx' was not found; ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"cry": ["FATAL: set WEATHER_API_KEY"], "exit": 3}, "exit code 3; it wrote: FATAL: set WEATHER_API_KEY"),
        ({"cry": ["npm error code E404", "npm error 404 Not Found"], "exit": 1}, "E404 | npm error 404 Not Found"),
        ({"cry": ["Traceback", *(f"line {n}" for n in range(90)), "KeyError: 'A'"], "exit": 1}, "KeyError: 'A'"),
        ({"cry": ["x" * 100_000, "the end"], "exit": 0}, "exit code 0; it wrote: "),
        ({"exit": 7}, "it has ended with exit code 7"),
    ],
)
def test_what_a_server_said_last_is_told(
    desk: McpDesk, caplog: pytest.LogCaptureFixture, script: dict[str, Any], said: str
) -> None:
    desk.write(srv=raw(**script))

    [problem] = desk.source.problems()
    assert problem.startswith("The MCP server srv does not run: it has ended with exit code ")
    assert said in problem
    assert len(problem) < 2_000
    for line in script.get("cry", ())[-3:]:
        assert line[:300] in caplog.text


@pytest.mark.parametrize(
    "secret", ["Bearer abcdefgh12345678", "sk-abcdefgh12345678", "https://anna:Winter2026x@h", "my-own-token-value"]
)
def test_last_words_hold_no_secret(desk: McpDesk, caplog: pytest.LogCaptureFixture, secret: str) -> None:
    desk.write(
        srv={**raw(cry=[f"cannot log in with {secret}\x1b[31m"], exit=1), "env": {"MY_TOKEN": "my-own-token-value"}}
    )

    [problem] = desk.source.problems()
    assert "cannot log in with " in problem
    for text in (problem, caplog.text):
        assert secret not in text
        assert "\x1b" not in text


@pytest.mark.parametrize(
    "noise",
    [
        ["Server is running on stdio"],
        ["debug: the user said SECRET-WORDS"] * 3_000,
        ['{"level": "info", "msg": "SECRET-WORDS"}'] * 500,
        ["{not json SECRET-WORDS"] * 500,
        ['{"jsonrpc": "2.0", "odd": "SECRET-WORDS"}', "[]", "null", "", "  "],
        ["LONG", "\x00\x07".replace("\x00", "\x01")],
    ],
    ids=["a banner", "words", "a log", "no JSON", "odd messages", "long"],
)
def test_noise_on_the_output_is_one_short_line_in_the_log(
    desk: McpDesk, caplog: pytest.LogCaptureFixture, noise: list[str]
) -> None:
    desk.write(srv=raw(say=noise, tools=[tool("a")]))

    assert desk.names == ["srv__a"], desk.source.problems()
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert len(told[0].getMessage()) < 200
    assert "SECRET-WORDS" not in caplog.text


def test_an_answer_that_is_too_large_fails_its_call_alone(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1_048_576)
    # The id stands at the end of what servers in JavaScript write, and at the start of what others do.
    last = '{"result": {"content": [{"type": "text", "text": "LONG"}]}, "jsonrpc": "2.0", "id": ID}'
    results = {"huge": {"repeat": ["x", 2_000_000]}, "last": {"raw": last}, "small": {"repeat": ["small", 1]}}
    desk.write(srv=raw(tools=[tool(name) for name in results], results=results))

    for name in ("srv__huge", "srv__last"):
        record = desk.call(name)
        assert record.outcome == "failed"
        assert "larger than 1 MB" in record.result
    assert desk.call("srv__small").result == "small"


@pytest.mark.parametrize(
    "answer",
    [
        '{"jsonrpc": "2.0", "id": ID, "result": "text"}',
        '{"jsonrpc": "2.0", "id": ID, "error": "text"}',
        '{"jsonrpc": "2.0", "id": ID, "result": {"content": [{"type": "text"}]}}',
        '{"jsonrpc": "2.0", "id": ID, "result": {"content": 3}}',
    ],
)
def test_an_answer_of_another_shape_is_told_at_once(desk: McpDesk, answer: str) -> None:
    desk.write(srv=raw(tools=[tool("a")], results={"a": {"raw": answer}}))

    record = desk.call("srv__a")

    assert record.outcome == "failed"
    assert record.seconds < 5
    assert len(record.result) < 300


@pytest.mark.parametrize("error", ["it broke " * 20_000, "key sk-abcdefgh12345678 is wrong"])
def test_an_error_of_a_server_is_bounded_and_holds_no_key(desk: McpDesk, error: str) -> None:
    failure = {"error": {"code": -32000, "message": error[:100_000]}}
    desk.write(srv=raw(tools=[tool("a")], results={"a": failure}))

    record = desk.call("srv__a")

    assert record.outcome == "failed"
    assert len(record.result) < 2_200
    assert "abcdefgh12345678" not in record.result


def test_a_long_description_is_cut(desk: McpDesk) -> None:
    desk.write(srv=raw(tools=[{**tool("a"), "description": "words " * 10_000}]))

    [found] = desk.source.tools
    assert len(found.description) < 8_100
    assert found.description.endswith(" more characters]")


@pytest.mark.parametrize("letter", ["x", "é", "水"])
@pytest.mark.parametrize("size", [9_999, 10_001, 100_000])
def test_a_long_result_is_cut_with_a_mark(desk: McpDesk, letter: str, size: int) -> None:
    text = letter * (size // len(letter.encode()))
    desk.write(srv=raw(tools=[tool("a")], results={"a": {"repeat": [letter, len(text)]}}))

    record = desk.call("srv__a")

    assert record.outcome == "ok"
    assert len(record.result.encode()) <= LIMITS.result_bytes
    if len(text.encode()) <= LIMITS.result_bytes:
        assert record.result == text
    else:
        kept = record.result.partition("\n[cut: ")[0]
        missing = len(text.encode()) - len(kept.encode())
        assert record.result.endswith(f"\n[cut: {missing:,} of {len(text.encode()):,} bytes are missing]")


PNG = base64.b64encode(b"\x89PNG picture").decode()


@pytest.mark.parametrize(
    ("part", "medium"),
    [
        ({"type": "image", "data": PNG, "mimeType": "image/png"}, "input_image"),
        (
            {"type": "resource", "resource": {"uri": "file:///a.jpg", "mimeType": "image/jpeg", "blob": PNG}},
            "input_image",
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.pdf", "mimeType": "application/pdf", "blob": PNG}},
            "input_file",
        ),
        ({"type": "audio", "data": PNG, "mimeType": "audio/wav"}, None),
        ({"type": "image", "data": PNG, "mimeType": "image/tiff"}, None),
        ({"type": "resource", "resource": {"uri": "file:///a.txt", "text": "the text"}}, None),
        ({"type": "resource_link", "uri": "file:///a.txt", "name": "a"}, None),
    ],
)
def test_images_and_files_reach_the_api_that_can_hold_them(desk: McpDesk, part: Any, medium: str | None) -> None:
    content = [{"type": "text", "text": "Look:"}, part]
    desk.write(srv=raw(tools=[tool("a")], results={"a": {"content": content}}))

    result = desk.call("srv__a").result

    assert result.startswith("Look:\n")  # a text to the API that holds texts
    output = output_of(result)
    if medium is None:
        assert output == result
        return
    assert isinstance(output, list)
    assert [item["type"] for item in output] == ["input_text", medium]
    assert PNG in json.dumps(output[1])
    assert PNG not in result


def test_servers_without_tools_are_left_alone(desk: McpDesk, tmp_path: Path) -> None:
    offered: dict[str, Any] = {"one": {"prompts": {}}, "two": {"resources": {}}, "three": {}, "four": {"tools": {}}}
    scripts = {name: raw(capabilities=capabilities, cry=["started"]) for name, capabilities in offered.items()}
    desk.write(**scripts, other=raw(tools=[tool("a")]))
    first = servers()

    time.sleep(1.5)  # a server that is taken for broken is started again after one second

    assert servers() == first
    assert desk.source.problems() == []
    assert sorted(desk.source.notes()) == sorted(f"The MCP server {name} runs and offers no tools" for name in offered)
    assert desk.names == ["other__a"]


def servers() -> set[int]:
    """Return the processes of scripted servers below this one."""
    return {each.pid for each in psutil.Process().children(recursive=True) if RAW in command_of(each)}


def command_of(process: psutil.Process) -> str:
    """Return how a process was started, "" where it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one
        return ""


def test_tools_are_mended_told_apart_or_named(desk: McpDesk) -> None:
    wrong = {"type": "string"}
    found: list[Any] = [
        tool("get.item"),
        tool("get_item"),
        tool("查询"),
        tool("发送"),
        tool("bad", wrong),
        tool("nul", {"$ref": "#/x"}),
        tool("list", []),
        {"inputSchema": {}},
        "text",
        {"name": "bare"},
        {"name": "odd", "inputSchema": {}, "description": 3, "annotations": [], "outputSchema": {"type": "string"}},
        tool("any", {"anyOf": [{"type": "object", "properties": {}}]}),
    ]
    desk.write(srv=raw(tools=found))

    assert len(set(desk.names)) == 7, desk.source.problems()
    problems = desk.source.problems()
    assert len(problems) == 5
    assert all("of the MCP server srv is left out: " in problem for problem in problems)
    assert "'bad'" in problems[0]
    for each in desk.source.tools:
        assert each.parameters["properties"] == {}


@pytest.mark.parametrize("result", [{"content": "words"}, {"structuredContent": {"said": "words"}}])
def test_a_result_of_an_older_shape_is_read(desk: McpDesk, result: Any) -> None:
    desk.write(srv=raw(tools=[tool("a")], results={"a": result}))

    record = desk.call("srv__a")

    assert record.outcome == "ok"
    assert "words" in record.result


def test_two_servers_never_share_a_name(desk: McpDesk) -> None:
    shared = raw(tools=[tool("b__c")], results={"b__c": {"content": [{"type": "text", "text": "first"}]}})
    other = raw(tools=[tool("c")], results={"c": {"content": [{"type": "text", "text": "second"}]}})

    desk.write(a=shared, a__b=other)

    assert len(desk.names) == len(set(desk.names)) == 2
    assert {desk.call(name).result for name in desk.names} == {"first", "second"}


def test_the_file_decides_which_tools_are_offered(desk: McpDesk) -> None:
    desk.write(srv={**raw(tools=[tool("read"), tool("write")]), "disabledTools": ["write"]})

    assert desk.names == ["srv__read"]


@pytest.mark.parametrize(
    ("script", "entry", "outcome"),
    [
        ({"steps": 5, "pause": 0.2}, {}, "ok"),  # in all twice as long as the limit
        ({"steps": 5, "pause": 0.2, "tells": False}, {}, "timed out"),
        ({"steps": 1, "pause": 0.8, "tells": False}, {"timeout": 5}, "ok"),
        ({"steps": 1, "pause": 2, "tells": False}, {"timeout": 0.3}, "timed out"),
    ],
)
def test_progress_extends_the_limit_and_an_entry_has_its_own(
    desk: McpDesk, script: dict[str, Any], entry: dict[str, Any], outcome: str
) -> None:
    desk.write(srv={**raw(tools=[tool("slow")], **script), **entry})

    assert desk.call("srv__slow", CallLimits(0.5, 1_000, 1_000)).outcome == outcome


@on_posix
@pytest.mark.parametrize("starts", [1, 3])
def test_kill_9_leaves_no_server_behind(tmp_path: Path, starts: int) -> None:
    names = [f"s{number}" for number in range(starts)]
    entries = {name: raw(tools=[tool("a")], deaf=True, cry=["a"]) for name in names}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, pathlib, sys, time\n"
        "from proxy.tools.mcp.source import McpSource\n"
        "from proxy.tools.runner import CallLimits\n"
        f"source = McpSource(lambda: pathlib.Path({str(tmp_path / 'mcp.json')!r}), lambda: CallLimits(9, 9, 9))\n"
        "asyncio.run(source.settle(20))\n"
        "print(len(source.tools), flush=True)\n"
        "time.sleep(60)\n",
        encoding="utf-8",
    )
    root = Path(__file__).parents[3]
    running = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == str(starts)
        left = psutil.Process(running.pid).children(recursive=True)
        assert len([each for each in left if RAW in " ".join(each.cmdline())]) == starts
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()

    wait_for(
        lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in left), "their end", 10
    )


ODD_TOOLS: list[Any] = [
    {"type": ["string", "null"]},
    {"type": "object", "properties": {"a": True, "b": None, "c": "x"}},
    {"type": "object", "properties": {"a": {}}, "required": ["a", 5, None]},
    {"type": "object", "properties": {"a": {"description": "\ud800"}}},
    {"type": [[]], "enum": [[1], {"a": []}]},
]


@pytest.mark.parametrize("schema", ODD_TOOLS, ids=str)
def test_one_odd_tool_takes_no_other_with_it(desk: McpDesk, schema: Any) -> None:
    results = {"good": {"content": [{"type": "text", "text": "done"}]}}
    desk.write(srv=raw(tools=[tool("odd", schema), tool("good")], results=results))

    assert desk.call("srv__good", CallLimits(30, 10_000, 1_000_000)).result == "done"


@pytest.mark.parametrize(
    "schema", [{"type": ["string", "null"]}, {"type": [[]]}, {"type": ["integer", []]}, {"type": {}}]
)
def test_a_kind_of_any_shape_is_understood(schema: Any) -> None:
    assert normalised(schema)["type"] == "object"
