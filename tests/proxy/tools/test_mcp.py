"""MCP servers: a reference server from PyPI and a scripted one, started, listed, called, killed and hung."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fakes.mcp_desk import START_S, McpDesk
from fakes.ports import free_port
from proxy.tools.mcp import server as server_module
from proxy.tools.mcp.config import BrokenServersFile, read_servers
from proxy.tools.mcp.names import full_name
from proxy.tools.runner import CallLimits
from proxy.tools.workers import Workers
from waiting import wait_for

SCRIPTED = str(Path(__file__).parents[2] / "fakes" / "mcp_server.py")
TIME = {"command": sys.executable, "args": ["-m", "mcp_server_time", "--local-timezone", "Europe/Berlin"]}
OWN = {"command": sys.executable, "args": [SCRIPTED]}
MORTAL = {"command": sys.executable, "args": [SCRIPTED, "mortal"]}  # told apart from the one that is left well

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX stop and kill the server")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[McpDesk]:
    desk = McpDesk(tmp_path / "mcp.json")
    yield desk
    desk.stop()


def children(words: str) -> list[psutil.Process]:
    """Return the processes below this one whose command holds some words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if words in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:  # noqa: PERF203  each may end meanwhile
            continue
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpDesk]:
    """Run the scripted server for the tests that leave it well."""
    desk = McpDesk(tmp_path_factory.mktemp("servers") / "mcp.json")
    desk.write(own=OWN)
    yield desk
    desk.stop()


@pytest.fixture
def own(desk: McpDesk) -> McpDesk:
    """Run the scripted server, to be ended, hung or stopped."""
    desk.write(own=MORTAL)
    assert "own__add" in desk.names, desk.source.problems()
    return desk


@pytest.mark.core
def test_a_reference_server_is_listed_and_called(desk: McpDesk) -> None:
    desk.write(time=TIME)

    assert desk.names == ["time__get_current_time", "time__convert_time"]
    record = desk.call("time__get_current_time", timezone="Asia/Kathmandu")
    assert record.outcome == "ok"
    assert "+05:45" in record.result
    assert desk.call("time__get_current_time").outcome == "bad arguments"
    assert desk.call("time__get_current_time", timezone="Nowhere").outcome == "failed"


@on_posix
def test_a_reference_server_killed_in_the_middle_of_a_call_takes_its_tools_along_and_comes_back(desk: McpDesk) -> None:
    desk.write(time=TIME, own=OWN)
    [process] = children("mcp_server_time")
    process.suspend()  # so that the call is under way for certain when it dies

    def kill_soon() -> None:
        time.sleep(0.3)  # the moment does not matter, only that it comes after the call
        process.send_signal(signal.SIGKILL)

    killer = Workers().call(kill_soon)
    record = desk.call("time__get_current_time", timezone="UTC")
    killer.result()

    assert record.outcome in ("failed", "not connected")
    assert len(record.result) < 200
    assert "time__convert_time" not in desk.names
    assert desk.call("own__add", a=1, b=2).result == "3"
    wait_for(lambda: "time__convert_time" in desk.names, "the server's tools", START_S)
    assert desk.call("time__get_current_time", timezone="UTC").outcome == "ok"


def test_results_and_failures_come_back_as_text(shared: McpDesk) -> None:
    assert shared.call("own__add", a=20, b=22).result == "42"
    assert shared.call("own__picture").result == "Look:\n[image image/png]"
    failure = shared.call("own__fail")
    assert failure.outcome == "failed"
    assert "it cannot be done" in failure.result


def test_a_server_that_offers_more_is_listed_anew(own: McpDesk) -> None:
    assert own.call("own__grow").outcome == "ok"

    wait_for(lambda: "own__grown" in own.names, "the new tool")
    assert own.call("own__grown").result == "new"


def test_what_is_not_marked_read_only_asks(shared: McpDesk) -> None:
    trusted = {tool.name: tool.is_trusted for tool in shared.source.tools}

    assert trusted["own__add"] is True
    assert trusted["own__environment"] is False


def test_a_long_name_is_cut_to_one_the_api_takes(shared: McpDesk) -> None:
    [name] = [name for name in shared.names if name.startswith("own__aaa")]

    assert len(name) == 64
    assert shared.call(name).result == "long"


def test_the_environment_is_the_files_and_not_the_proxys(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("MY_TOKEN", "blue")
    desk.write(own={**OWN, "env": {"TOKEN": "${MY_TOKEN}"}})

    assert desk.call("own__environment", name="TOKEN").result == "blue"
    assert desk.call("own__environment", name="OPENAI_API_KEY").result == "not set"


def test_a_server_that_ends_in_a_call_is_started_again(own: McpDesk) -> None:
    record = own.call("own__crash")

    assert record.outcome in ("failed", "not connected")
    wait_for(lambda: own.names == [], "the tools are gone")
    wait_for(lambda: "own__add" in own.names, "the server's tools", START_S)
    assert own.call("own__add", a=1, b=1).result == "2"


def test_a_call_that_takes_too_long_leaves_a_server_that_works_alone(shared: McpDesk) -> None:
    short = CallLimits(seconds=0.3, arguments_bytes=1000, result_bytes=1000)

    assert shared.call("own__wait", short).outcome == "timed out"
    assert shared.call("own__add", a=1, b=1).result == "2"


@on_posix
def test_a_server_that_hangs_loses_its_tools_and_is_replaced(own: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.tools.mcp.calls.ALIVE_S", 0.3)
    monkeypatch.setattr("proxy.tools.mcp.stdio.LEAVE_S", 0.2)
    monkeypatch.setattr("proxy.tools.mcp.stdio.TERMINATE_S", 0.2)
    short = CallLimits(seconds=0.3, arguments_bytes=1000, result_bytes=1000)
    [process] = children("mortal")
    process.suspend()

    assert own.call("own__add", short, a=1, b=1).outcome == "timed out"

    wait_for(lambda: not process.is_running(), "the end of the server", 20)
    wait_for(lambda: "own__add" in own.names, "the server's tools", START_S)
    assert own.call("own__add", a=1, b=1).result == "2"


def test_a_server_that_says_nothing_is_given_up(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "START_S", 0.5)
    silent = {"command": sys.executable, "args": ["-c", "import sys; sys.stdin.read()"]}

    desk.write(silent=silent)

    assert desk.names == []
    assert desk.source.problems() == ["The MCP server silent does not run: it said nothing within 0.5 s"]


def test_commands_that_cannot_run_are_named(desk: McpDesk) -> None:
    desk.write(nowhere={"command": "/no/such/program"}, ends={"command": sys.executable, "args": ["-c", "pass"]})

    problems = sorted(desk.source.problems())
    assert problems[0] == "The MCP server ends does not run: it has ended with exit code 0"
    assert problems[1].startswith("The MCP server nowhere does not run: the program '/no/such/program' was not found; ")


def test_a_change_of_the_file_starts_and_stops_servers(own: McpDesk) -> None:
    own.write(own=MORTAL, second=MORTAL)
    assert {"own__add", "second__add"} <= set(own.names)
    first_processes = {process.pid for process in children("mortal")}

    own.write(second=MORTAL)

    assert "own__add" not in own.names
    left = {process.pid for process in children("mortal")}
    assert len(left) == 1
    assert left < first_processes


def test_stopping_leaves_no_process_behind(own: McpDesk) -> None:
    own.stop()

    assert own.names == []
    wait_for(lambda: children("mortal") == [], "the end of the servers")


def test_a_server_over_http_is_listed_called_and_missed(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):  # of the network: it has no way to this computer
        monkeypatch.setenv(variable, f"http://anna:Winter2026x@127.0.0.1:{free_port()}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, SCRIPTED, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_open(port), "the server listens", 30)
        desk.write(far={"type": "http", "url": f"http://127.0.0.1:{port}/mcp", "headers": {"X-Token": "t"}})
        assert desk.call("far__add", a=1, b=2).result == "3", desk.source.problems()
    finally:
        process.kill()
        process.wait()

    assert desk.call("far__add", a=1, b=2).outcome in ("failed", "not connected")
    wait_for(lambda: desk.names == [], "the tools are gone", 20)


@pytest.mark.parametrize(
    ("entry", "secrets"),
    [
        ({"url": "http://far.invalid/mcp?api_key=s3cr3t"}, ["s3cr3t"]),
        ({"url": "http://bob:s3cr3t@far.invalid/mcp"}, ["s3cr3t", "bob"]),
    ],
)
@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "http://anna:Winter2026x@127.0.0.1:{port}",
        "socks9://anna:Winter2026x@127.0.0.1",
        "http://anna:Winter2026x@h:x",
    ],
)
def test_what_is_said_of_a_server_elsewhere_holds_no_secret(
    desk: McpDesk, monkeypatch: pytest.MonkeyPatch, entry: dict[str, str], secrets: list[str], proxy: str
) -> None:
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.format(port=free_port()))
    desk.write(far={"type": "http", **entry})
    wait_for(lambda: any(server.problem for server in desk.source._servers.values()), "what is wrong with it", 20)

    told = " ".join(desk.source.problems())
    assert "The MCP server far does not run" in told
    for secret in (*secrets, "Winter2026x", "anna"):
        assert secret not in told


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_file_may_begin_with_a_mark_of_its_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": "x"}}}', encoding="utf-8-sig")

    assert [server.name for server in read_servers(path)[0]] == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"mcpServers": {,}\n}', "mcp.json, line 2: "),
        ("[]", "no object named mcpServers"),
        ('{"servers": {}}', "no object named mcpServers"),
        ('{"mcpServers": %s}' % ("9" * 5_000), "mcp.json: Exceeds the limit|no object named mcpServers"),
        ("[" * 200_000, r"mcp\.json"),
    ],
    ids=["a comma too many", "a list", "another name", "a number of 5,000 digits", "200,000 levels"],
)
def test_a_broken_file_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(BrokenServersFile, match=said):
        read_servers(path)


def test_entries_that_are_none_are_named_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    entries = {
        "good": {"command": "x", "args": ["a"]},
        "far": {"url": "https://example.org/mcp"},
        "off": {"command": "x", "disabled": True},
        "neither": {},
        "old": {"type": "sse", "url": "https://example.org/sse"},
        "pipe": {"type": "named-pipe", "url": "https://example.org/sse"},
        "odd": {"command": "x", "args": "a"},
        "line\nbreak": {"command": "x"},
        "list": [],
    }
    path.write_text(json.dumps({"mcpServers": entries}), encoding="utf-8")

    servers, problems = read_servers(path)

    assert [server.name for server in servers] == ["good", "far", "old"]
    assert len(problems) == 5


def test_keys_in_the_file_do_not_show(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": "x", "env": {"KEY": "secret"}}}}', encoding="utf-8")

    assert "secret" not in repr(read_servers(path))


def test_names_are_made_of_the_letters_the_api_takes() -> None:
    assert full_name("my server", "read/file") == "my_server__read_file"
    assert full_name("a" * 50, "b" * 50) != full_name("a" * 50, "b" * 49 + "c")


def test_where_the_sdk_is_not_installed_the_file_says_so(desk: McpDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    desk.write(own=OWN)

    assert desk.names == []
    assert f"{sys.executable} -m pip install 'mcp" in desk.source.problems()[0]
