"""The process of function_tools.py: what a function does to it, and that nothing else is hurt."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fakes.environment import ROOT, environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, proxy_before
from fakes.tool_turns import called
from proxy.tools.file_source import FileSource
from proxy.tools.functions.frames import Frames, frame
from proxy.tools.functions.restarts import FREE, LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Restarts
from proxy.tools.functions.start import FLAG, command
from proxy.tools.runner import CallLimits, Runner
from proxy.tools.tool import CallRecord
from proxy.tools.workers import MAX_THREADS, Workers
from waiting import wait_for

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither forks nor limits of this kind")

LONG = CallLimits(seconds=20, arguments_bytes=1000, result_bytes=1000)
SHORT = replace(LONG, seconds=0.2)
MEMORY_BYTES = 400_000_000
HEALTHY_S = 0.5

HOLDING = {
    "held_by_regex": 're.match(r"(a+)+$", "a" * 40 + "!")',
    "held_by_sum": "sum(range(10**11))",
    "held_by_power": "10 ** 10 ** 8",
    "held_by_search": "'x' in itertools.repeat('y')",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP) or time.sleep(20)",
}
ENDING = {
    "exits": "os._exit(3)",
    "crashes": "ctypes.string_at(0)",
    "is_killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "aborts": "os.abort()",
}
FILLING = {
    "bytes_at_once": "len(bytearray(10**11))",
    "text_at_once": "len('x' * 10**11)",
    "list_that_grows": "[grown.append(bytearray(10**7)) for grown in [[]] for _ in itertools.count()]",
}
PRINTING = {
    "lines": "print('x' * 100_000)",
    "bytes_to_output": "os.write(1, bytes(range(256)) * 1000)",
    "bytes_to_errors": "os.write(2, b'\\xff\\0\\n' * 10_000)",
    "input": "sys.stdin.read() or 'nothing'",
    "log": "logging.getLogger('own').critical('x' * 10_000)",
}
GARBLING = {
    "closes_all": "os.closerange(0, 1000) or time.sleep(20)",
    "writes_a_wild_length": "[os.write(pipe, b'\\xff' * 8) for pipe in _pipes()] and time.sleep(20)",
    "writes_no_json": "[os.write(pipe, b'\\0\\0\\0\\1{') for pipe in _pipes()] and time.sleep(20)",
    "writes_no_number": "[os.write(pipe, b'\\0\\0\\0\\x09{\"id\":[]}') for pipe in _pipes()] and time.sleep(20)",
}
TOOLS = """
import ctypes, itertools, logging, multiprocessing, os, re, signal, stat, subprocess, sys, time

try:
    import fcntl
except ImportError:  # Windows
    pass

count = 0


def _pipes():
    # What may be the way to the proxy.
    written = [number for number in range(3, 20) if _is_written(number)]
    assert written
    return written


def _is_written(number):
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode) and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY
    except OSError:
        return False



def greet(name: str = "you") -> str:
    \"\"\"Greet.\"\"\"
    return "Hello " + name


def counted() -> int:
    \"\"\"Count the calls.\"\"\"
    global count
    count += 1
    return count


def waits(seconds: float) -> str:
    \"\"\"Wait.\"\"\"
    time.sleep(seconds)
    return "waited"


def pid() -> int:
    \"\"\"Tell the number of the process.\"\"\"
    return os.getpid()


def variables() -> str:
    \"\"\"Tell the names of the variables.\"\"\"
    return " ".join(sorted(os.environ))


def forks() -> int:
    \"\"\"Start a process.\"\"\"
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    return child


def forks_by_library() -> int:
    \"\"\"Start a process likewise.\"\"\"
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    return child.pid


def starts_a_program() -> int:
    \"\"\"Start a program.\"\"\"
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False).pid


def forks_and_exits() -> int:
    \"\"\"Start a process, and leave it behind.\"\"\"
    print(forks(), flush=True)
    os._exit(5)


async def blocks(seconds: float) -> str:
    \"\"\"Block the loop.\"\"\"
    time.sleep(seconds)
    return "late"


""" + "".join(
    f'\n\ndef {name}() -> str:\n    """Do it."""\n    return str({what})\n'
    for kind in (HOLDING, ENDING, FILLING, PRINTING, GARBLING)
    for name, what in kind.items()
)


class Desk:
    """A source of functions, and calls of them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.limits = LONG
        self.source = FileSource(lambda: file, lambda: self.limits, memory_bytes=MEMORY_BYTES)
        self._workers = Workers()
        self.runner = Runner(self._workers)

    async def call_on_loop(self, name: str, arguments: str = "{}") -> CallRecord:
        """Call a tool."""
        tools = {tool.name: tool for tool in self.source.tools}
        return await self.runner.run(tools.get(name), name, arguments, self.limits)

    def call(self, name: str, arguments: str = "{}", limits: CallLimits = LONG) -> CallRecord:
        """Call a tool, within these limits."""
        self.limits = limits
        try:
            return asyncio.run(self.call_on_loop(name, arguments))
        finally:
            self.limits = LONG

    def refresh(self) -> None:
        """Load the file where it has changed."""
        asyncio.run(self.source.refresh())

    def stop(self) -> None:
        """End it."""
        self.source.stop()
        self._workers.stop()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Run the functions; a test that ends their process finds it started again by the next call."""
    desk = Desk(tmp_path_factory.mktemp("functions") / "function_tools.py")
    desk.file.write_text(TOOLS, encoding="utf-8")
    desk.refresh()
    yield desk
    desk.stop()


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Desk]:
    """Run functions of a file that is not there yet."""
    desk = Desk(tmp_path / "function_tools.py")
    yield desk
    desk.stop()


def write(file: Path, text: str) -> None:
    """Write a file anew, as an editor does."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


# --- what a function does to its process ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOLDING)
def test_a_function_that_holds_the_interpreter_is_told_in_time_and_the_next_call_works(desk: Desk, name: str) -> None:
    began = time.monotonic()
    record = desk.call(name, limits=SHORT)
    took = time.monotonic() - began

    assert (record.outcome, record.result) == ("timed out", "Error: The tool did not finish within 0.2 seconds.")
    assert took < 5
    assert desk.call("greet").result == "Hello you"


@posix_only
@pytest.mark.parametrize(
    ("name", "how"), list(zip(ENDING, ["exit code 3", "SIGSEGV", "SIGKILL", "SIGABRT"], strict=True))
)
def test_a_function_that_ends_its_process_is_told_and_the_next_call_works(
    desk: Desk, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    desk.call("greet")
    record = desk.call(name)

    assert (record.outcome, record.result) == ("failed", f"Error: The tool's process ended ({how}).")
    assert [each.getMessage().partition(".py ")[2] for each in caplog.records if each.levelno >= logging.ERROR] == [
        f"ended ({how}). The next call starts it again, without what its functions had in memory."
    ]
    assert desk.call("greet", '{"name": "Ann"}').result == "Hello Ann"


@posix_only
@pytest.mark.parametrize("name", GARBLING)
def test_a_function_that_breaks_the_pipes_ends_its_process_alone(desk: Desk, name: str) -> None:
    desk.call("greet")

    assert desk.call(name).result.startswith("Error: The tool's process ended (")
    assert desk.call("greet").result == "Hello you"


@posix_only
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not hold processes to that limit")
@pytest.mark.parametrize("name", FILLING)
def test_a_function_that_fills_memory_fails_alone(desk: Desk, name: str) -> None:
    assert desk.call(name).result in (
        "Error: The tool failed: MemoryError",
        "Error: The tool's process ended (it ran out of memory).",
    )
    assert desk.call("greet").result == "Hello you"


@pytest.mark.parametrize("name", PRINTING)
def test_what_functions_print_and_read_breaks_nothing(desk: Desk, name: str) -> None:
    number = desk.call("pid").result

    assert desk.call(name).outcome == "ok"
    assert desk.call("greet").result == "Hello you"
    assert desk.call("pid").result == number


@posix_only
def test_what_functions_start_has_no_connection_and_ends_with_their_process(desk: Desk) -> None:
    names = ("forks", "forks_by_library", "starts_a_program")
    started = [psutil.Process(int(desk.call(name).result)) for name in names]

    assert all(each.is_running() and each.net_connections("inet") == [] for each in started)
    assert desk.call("exits").outcome == "failed"
    assert psutil.wait_procs(started, timeout=10)[1] == []


@posix_only
def test_the_end_of_a_process_is_seen_though_one_it_has_forked_goes_on(desk: Desk) -> None:
    desk.call("greet")
    began = time.monotonic()

    assert desk.call("forks_and_exits").result == "Error: The tool's process ended (exit code 5)."
    assert time.monotonic() - began < 10


@posix_only
def test_all_calls_that_run_are_told_of_the_end(desk: Desk) -> None:
    desk.call("greet")

    async def both() -> list[CallRecord]:
        waiting = [asyncio.create_task(desk.call_on_loop("waits", '{"seconds": 60}')) for _ in range(3)]
        await asyncio.sleep(0.1)
        return [await desk.call_on_loop("exits"), *await asyncio.gather(*waiting)]

    assert {record.result for record in asyncio.run(both())} == {"Error: The tool's process ended (exit code 3)."}


def test_what_functions_keep_in_memory_is_there_until_their_process_ends(desk: Desk) -> None:
    desk.call("exits")

    assert [desk.call("counted").result for _ in range(3)] == ["1", "2", "3"]
    desk.call("exits")
    assert desk.call("counted").result == "1"


def test_a_call_that_runs_out_of_time_in_python_leaves_the_process_alone(desk: Desk) -> None:
    number = desk.call("pid").result

    assert desk.call("waits", '{"seconds": 60}', SHORT).outcome == "timed out"
    assert desk.call("blocks", '{"seconds": 60}', SHORT).outcome == "timed out"
    assert desk.call("pid").result == number


def test_a_process_full_of_calls_that_never_end_is_started_again(desk: Desk) -> None:
    number = desk.call("pid").result

    async def many() -> list[CallRecord]:
        desk.limits = SHORT
        return await asyncio.gather(*(desk.call_on_loop("waits", '{"seconds": 60}') for _ in range(MAX_THREADS + 2)))

    def is_full() -> bool:  # some may be interrupted before they wait
        asyncio.run(many())
        return desk.call("greet").outcome == "too many"

    wait_for(is_full, "a process without a free thread")
    assert desk.call("greet").result == "Hello you"
    assert desk.call("pid").result != number


def test_a_request_that_is_cancelled_leaves_its_call(desk: Desk) -> None:
    async def leave() -> None:
        task = asyncio.create_task(desk.call_on_loop("waits", '{"seconds": 60}'))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    number = desk.call("pid").result
    asyncio.run(leave())
    assert desk.call("pid").result == number


def test_no_key_of_ours_is_in_its_environment(new_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"OPENAI_API_KEY", "OPENAI_API_KEY_SPARE", "PROXY_API_KEYS", "proxy_api_key"}
    for name in (*ours, "WEATHER_API_KEY"):
        monkeypatch.setenv(name, "somebodys")
    write(new_desk.file, TOOLS)
    new_desk.refresh()

    names = set(new_desk.call("variables").result.split())
    assert names & ours == set()
    assert "WEATHER_API_KEY" in names


# --- the file ---------------------------------------------------------------------------------------------------------


def processes() -> set[int]:
    """Return the functions' processes that this one has started."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("proxy.tools.functions" in word for word in child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.parametrize(
    "text", [None, "", "x = 1\n", "def _own() -> str: ...\n", "TOOLS = []\ndef execute_tool(n, a): ...\n"]
)
def test_a_file_without_tools_has_no_process(new_desk: Desk, text: str | None) -> None:
    before = processes()
    if text is not None:
        write(new_desk.file, text)
    new_desk.refresh()

    assert new_desk.source.problem is None
    wait_for(lambda: processes() <= before, "no other process")


ENDS_AT_LOAD = {
    "import os\nos._exit(4)\n": "exit code 4",
    "import os\nos.abort()\n": "SIGABRT",
    "import ctypes\nctypes.string_at(0)\n": "SIGSEGV",
    "import os, sys\nprint('no licence', flush=True)\nos.kill(os.getpid(), 9)\n": "SIGKILL). It last wrote: no licence",
}


@posix_only
@pytest.mark.parametrize("text", ENDS_AT_LOAD)
def test_a_file_that_ends_the_process_while_it_is_loaded_keeps_the_last_good_tools(new_desk: Desk, text: str) -> None:
    write(new_desk.file, TOOLS)
    new_desk.refresh()
    write(new_desk.file, text)
    new_desk.refresh()

    said = f"function_tools.py: its process ended while the file was loaded ({ENDS_AT_LOAD[text]}"
    assert (new_desk.source.problem or "").startswith(said)
    assert new_desk.call("greet").result == "Hello you"


def test_a_process_begins_again_with_the_last_good_file(new_desk: Desk) -> None:
    write(new_desk.file, TOOLS)
    new_desk.refresh()
    write(new_desk.file, "def greet( -> nothing\n")
    new_desk.refresh()
    new_desk.call("exits")

    assert new_desk.call("greet").result == "Hello you"
    new_desk.file.unlink()
    new_desk.call("exits")
    assert new_desk.call("greet").result == "Hello you"


def test_a_call_that_runs_while_the_file_changes_ends_as_it_began(new_desk: Desk) -> None:
    write(new_desk.file, TOOLS)
    new_desk.refresh()
    before = psutil.Process(int(new_desk.call("pid").result))

    async def change() -> CallRecord:
        running = asyncio.create_task(new_desk.call_on_loop("waits", '{"seconds": 0.5}'))
        await asyncio.sleep(0.1)
        write(new_desk.file, 'def hello() -> str:\n    """Greet."""\n    return "new"\n')
        await new_desk.source.refresh()
        assert (await new_desk.call_on_loop("hello")).result == "new"
        return await running

    assert asyncio.run(change()).result == "waited"
    with suppress(psutil.NoSuchProcess):
        before.wait(10)


@pytest.mark.parametrize(
    "parameters", ["{'type': 'object', 'x': {1, 2}}", "{'type': 'object', 'x': object()}", "{'x': b''}"]
)
def test_a_schema_that_cannot_be_sent_is_left_out(new_desk: Desk, parameters: str) -> None:
    good = "{'name': 'good'}"
    write(
        new_desk.file,
        f"TOOLS = [{{'name': 'odd', 'parameters': {parameters}}}, {good}]\n"
        "def execute_tool(name, arguments): return name\n",
    )
    new_desk.refresh()

    assert [tool.name for tool in new_desk.source.tools] == ["good"]
    assert [sentence.partition(":")[0] for sentence in new_desk.source.left_out] == ["odd is no tool"]
    assert new_desk.call("good").result == "good"


def test_a_process_that_ends_again_and_again_is_started_with_growing_pauses() -> None:
    now = [100.0]
    restarts = Restarts(lambda: now[0])
    pauses = []
    for _ in range(FREE + 12):
        restarts.note(has_answered=False)
        pauses.append(restarts.pause_s())
        now[0] += 1000

    assert pauses[:FREE] == [0] * FREE
    assert pauses[FREE : FREE + 3] == [SHORTEST_PAUSE_S, 2 * SHORTEST_PAUSE_S, 4 * SHORTEST_PAUSE_S]
    assert max(pauses) == LONGEST_PAUSE_S
    assert restarts.pause_s() == 0
    restarts.note(has_answered=True)
    assert restarts.pause_s() == 0


def test_calls_in_a_pause_are_told_so(new_desk: Desk) -> None:
    write(new_desk.file, TOOLS)
    new_desk.refresh()
    told = [new_desk.call("exits").result for _ in range(FREE + 2)]

    assert told[: FREE + 1] == ["Error: The tool's process ended (exit code 3)."] * (FREE + 1)
    assert told[-1] == "Error: The tools' process has ended too often; it can be started again in 1 seconds."


# --- how it is started ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("launcher", ["terminal.py", "tray.py"])
def test_a_built_program_is_the_process_where_it_is_told_so(tmp_path: Path, launcher: str) -> None:
    words = [sys.executable, str(ROOT / "launchers" / launcher), FLAG]
    asked = frame({"id": 7, "do": "ping"})
    done = subprocess.run(words, input=asked, capture_output=True, timeout=60, check=True, env=environment(tmp_path))

    assert Frames().add(done.stdout) == [{"id": 7}]


@posix_only
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_that_is_handed_down_is_closed(family: socket.AddressFamily) -> None:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with (
        socket.create_server((address, 0), family=family) as listener,
        subprocess.Popen(
            command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[listener.fileno()]
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame({"id": 7, "do": "ping"}))
        process.stdin.flush()
        assert process.stdout.read(len(frame({"id": 7}))) == frame({"id": 7})
        assert psutil.Process(process.pid).net_connections("inet") == []


def test_a_built_program_starts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert command() == [sys.executable, FLAG]


@pytest.mark.parametrize("server", ["/usr/bin/uwsgi", "/usr/sbin/apache2", ""])
def test_a_server_that_brings_its_own_interpreter_is_not_started(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(sys, "executable", server)

    assert Path(command()[0]).name.startswith("python")


# --- the end of the proxy ---------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys, threading
from pathlib import Path
from proxy.tools.file_source import FileSource
from proxy.tools.runner import CallLimits

source = FileSource(lambda: Path(sys.argv[1]), lambda: CallLimits(60, 1000, 1000))


async def run() -> None:
    await source.refresh()
    tools = {tool.name: tool for tool in source.tools}
    print(await tools["pid"].invoke("{}"), flush=True)
    if len(sys.argv) > 3:
        print(await tools[sys.argv[3]].invoke("{}"), flush=True)
    asyncio.get_running_loop().create_task(tools[sys.argv[2]].invoke('{"seconds": 60}'))
    await asyncio.sleep(60)


asyncio.run(run())
"""


@posix_only
def test_the_process_and_what_it_started_end_with_the_proxy_even_after_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "function_tools.py"
    file.write_text(TOOLS.replace("def held_by_regex()", "def held_by_regex(seconds: int)"), encoding="utf-8")
    ours: list[psutil.Process] = []
    with ExitStack() as stack:
        programs = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", PROGRAM, str(file), *words], stdout=subprocess.PIPE, text=True)
            )
            for words in (["waits"], ["held_by_regex"], ["held_by_regex", "forks"])
        ]
        for program, lines in zip(programs, (1, 1, 2), strict=True):
            assert program.stdout is not None
            ours += [psutil.Process(int(program.stdout.readline())) for _ in range(lines)]
            program.kill()

    assert len(ours) == 4
    assert psutil.wait_procs(ours, timeout=20)[1] == []


# --- other traffic ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy with these tools; a call may take half a second."""
    file = tmp_path_factory.mktemp("tools") / "function_tools.py"
    file.write_text(TOOLS, encoding="utf-8")
    settings = {"enable_tool_execution": True, "function_tools_file": str(file), "tool_timeout": 0.5}
    with proxy_before(provider.base_url, file.parent, **settings) as running:
        yield running


def slowest_health(proxy: RunningProxy, is_over: Callable[[], bool]) -> float:
    """Return how long the slowest answer took while something went on."""
    slowest = 0.0
    while True:
        last = is_over()
        began = time.monotonic()
        assert proxy.http.get("/v1/health").status_code == 200
        slowest = max(slowest, time.monotonic() - began)
        if last:
            return slowest


@posix_only
@pytest.mark.parametrize(
    "name", ["held_by_regex", "held_by_power", "held_by_search", "bytes_at_once", "exits", "crashes", "forks"]
)
def test_other_requests_are_answered_meanwhile(proxy: RunningProxy, upstream: Fresh, name: str) -> None:
    upstream.answers(
        [Json(called(("a", name, "{}"), ("b", "calculate", '{"expression": "6 * 7"}'))), Json(completion("Done."))]
    )
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(proxy.http.post, "/v1/chat/completions", json=asked)
        slowest = slowest_health(proxy, answer.done)

    assert answer.result().json()["choices"][0]["message"]["content"] == "Done."
    told = {each["tool_call_id"]: each["content"] for each in upstream.requests[-1].json()["messages"][-2:]}
    assert told["b"] == "42"
    assert told["a"]
    assert slowest < HEALTHY_S


@posix_only
def test_the_process_of_the_functions_ends_with_the_proxy(provider: ScriptedUpstream, tmp_path: Path) -> None:
    file = tmp_path / "function_tools.py"
    file.write_text(TOOLS, encoding="utf-8")
    settings = {"enable_tool_execution": True, "function_tools_file": str(file)}
    with proxy_before(provider.base_url, tmp_path, **settings) as running:
        number = int(running.services.tools.try_call("pid", "{}").result)
        os.kill(number, 0)

    wait_for(lambda: not psutil.pid_exists(number), "its end")
