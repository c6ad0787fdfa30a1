"""mcp.json: its variables, its entries, and how editors save it. What is wrong with an entry leaves out that entry."""

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.tools.mcp.config import BrokenServersFile, McpServerConfig, read_servers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


def read(path: Path, **entries: Any) -> tuple[list[McpServerConfig], list[str]]:
    path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")
    return read_servers(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${COLOUR}", "blue"),
        ("${env:COLOUR}", "blue"),
        ("a-${COLOUR}-${COLOUR}", "a-blue-blue"),
        ("${COLOUR:-red}", "blue"),
        ("${NOWHERE:-red}", "red"),
        ("${env:NOWHERE:-}", ""),
        ("${EMPTY:-red}", "red"),
        ("${EMPTY}", ""),
        ("$COLOUR {COLOUR}", "$COLOUR {COLOUR}"),
    ],
)
def test_variables_are_filled_in(path: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: str) -> None:
    monkeypatch.setenv("COLOUR", "blue")
    monkeypatch.setenv("EMPTY", "")

    [server], problems = read(path, a={"command": "x", "args": [text], "env": {"A": text}})

    assert server.args == (value,)
    assert server.env == (("A", value),)
    assert problems == []


def test_folders_are_known(path: Path) -> None:
    [server], _ = read(path, a={"command": "${userHome}/x", "args": ["${workspaceFolder}"], "cwd": "${userHome}"})

    assert server.command == f"{Path.home()}/x"
    assert server.args == (str(Path.home()),)
    assert server.cwd == str(Path.home())


@pytest.mark.parametrize("text", ["${NOT_SET_HERE}", "${env:NOT_SET_HERE}", "a${NOT_SET_HERE}b"])
@pytest.mark.parametrize("place", ["command", "args", "env", "cwd", "url", "headers"])
def test_a_variable_that_is_not_set_stops_that_server_alone(path: Path, text: str, place: str) -> None:
    entry: dict[str, Any] = {"url": "https://x"} if place in ("url", "headers") else {"command": "x"}
    entry[place] = {"args": [text], "env": {"K": text}, "headers": {"K": text}}.get(place, text)

    servers, [problem] = read(path, bad=entry, good={"command": "x"})

    assert [server.name for server in servers] == ["good"]
    assert "'bad' in mcp.json" in problem
    assert "NOT_SET_HERE" in problem


@pytest.mark.parametrize("text", ["${input:token}", "${command:x}", "${}", "${a b}"])
def test_forms_that_are_not_known_are_named(path: Path, text: str) -> None:
    servers, [problem] = read(path, bad={"command": "x", "args": [text]})

    assert servers == []
    assert text in problem


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_are_read_as_editors_of_windows_save_them(path: Path, mark: bytes, codec: str, end: str) -> None:
    text = end.join(["{", '"mcpServers": {', '"é": {"command": "x"}', "}}", ""])
    path.write_bytes(mark + text.encode(codec))

    assert [server.name for server in read_servers(path)[0]] == ["é"]


def test_a_file_in_no_known_coding_is_broken_and_says_the_line(path: Path) -> None:
    path.write_bytes(b'{\n"mcpServers": {"caf\xe9": {"command": "x"}}}')

    with pytest.raises(BrokenServersFile, match=r"mcp\.json, line 2"):
        read_servers(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "x", "disabled": "true"},
        {"command": "x", "disabled": 1},
        {"command": "x", "disabled": None},
        {"command": "x", "enabled": "false"},
        {"command": "x", "timeout": "30"},
        {"command": "x", "timeout": 0},
        {"command": "x", "timeout": True},
        {"command": "x", "cwd": 3},
        {"command": "x", "env": {"A": 1}},
        {"command": "x", "env": {"A=B": "1"}},
        {"command": "x", "env": ["A=1"]},
        {"command": "x", "args": "--read-only"},
        {"command": "x", "args": ["--read-only", 3]},
        {"command": "x", "enabledTools": "read"},
        {"command": "x", "disabledTools": {"write": True}},
        {"command": ["x"]},
        {"command": ""},
        {"command": "x", "type": "docker"},
        {"url": "file:///etc/passwd"},
        {"url": "https://x", "headers": {"Authorization": None}},
        {"type": "http", "command": "x"},
        None,
        "x",
    ],
)
def test_an_entry_that_is_half_wrong_is_left_out_and_named(path: Path, entry: Any) -> None:
    servers, [problem] = read(path, bad=entry, good={"command": "x"})

    assert [server.name for server in servers] == ["good"]
    assert "'bad' in mcp.json is not started: " in problem


@pytest.mark.parametrize(
    "text",
    [
        '"a": {"command": "x", "disabled": true}, "a": {"command": "x"}',
        '"a": {"command": "x", "disabled": true, "disabled": false}',
        '"a": {"command": "x", "args": ["--read-only"], "args": []}',
    ],
)
def test_what_stands_there_twice_is_not_guessed(path: Path, text: str) -> None:
    path.write_text(f'{{"mcpServers": {{{text}, "good": {{"command": "x"}}}}}}', encoding="utf-8")

    servers, problems = read_servers(path)

    assert [server.name for server in servers] == ["good"]
    assert len(problems) == 1


@pytest.mark.parametrize("word", [{"disabled": True}, {"enabled": False}])
def test_a_server_can_be_switched_off(path: Path, word: dict[str, bool]) -> None:
    assert read(path, a={"command": "x", **word}) == ([], [])


@pytest.mark.parametrize(("given", "seconds"), [(5, 5.0), (0.5, 0.5), (600, 600.0), (60_000, 60.0), (None, None)])
def test_a_timeout_is_seconds_and_large_ones_milliseconds(path: Path, given: Any, seconds: float | None) -> None:
    [server], _ = read(path, a={"command": "x", "timeout": given})

    assert server.timeout_s == seconds


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"url": "https://x"}, "http"),
        ({"serverUrl": "https://x"}, "http"),
        ({"httpUrl": "https://x"}, "http"),
        ({"type": "sse", "url": "https://x"}, "sse"),
        ({"type": "streamableHttp", "url": "https://x"}, "http"),
        ({"transport": "streamable-http", "url": "https://x"}, "http"),
        ({"type": "stdio", "command": "x"}, "stdio"),
    ],
)
def test_the_ways_other_programs_write_are_understood(path: Path, entry: dict[str, str], transport: str) -> None:
    [server], _ = read(path, a=entry)

    assert server.transport == transport


def test_the_file_can_say_which_tools_are_offered(path: Path) -> None:
    [some, others], _ = read(
        path, a={"command": "x", "enabledTools": ["read", "list"]}, b={"command": "x", "disabledTools": ["write"]}
    )

    assert [some.offers(tool) for tool in ("read", "write")] == [True, False]
    assert [others.offers(tool) for tool in ("read", "write")] == [True, False]
