"""One call: whatever goes wrong becomes a short text for the model, and one line in the log."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy.tools.runner import CallLimits, Runner
from proxy.tools.schema import tool_of
from proxy.tools.tool import CallRecord
from proxy.tools.workers import MAX_THREADS, Workers

LIMITS = CallLimits(seconds=20, arguments_bytes=1000, result_bytes=1000)
SHORT = CallLimits(seconds=0.05, arguments_bytes=1000, result_bytes=1000)


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.stop()


@pytest.fixture
def run(workers: Workers) -> Callable[..., CallRecord]:
    """Return a function that runs a function of Python as a tool."""
    runner = Runner(workers)

    def run_tool(function: Callable[..., Any] | None, arguments: str = "{}", limits: CallLimits = LIMITS) -> CallRecord:
        tool = tool_of(function, "test") if function else None
        return asyncio.run(runner.run(tool, tool.name if tool else "no_such_tool", arguments, limits, mark="proxy-1"))

    return run_tool


def test_a_result_comes_back(run: Callable[..., CallRecord]) -> None:
    def double(n: int) -> int:
        return 2 * n

    record = run(double, '{"n": 21}')

    assert (record.result, record.outcome, record.name) == ("42", "ok", "double")


def test_an_asynchronous_function_is_awaited(run: Callable[..., CallRecord]) -> None:
    async def double(n: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"twice": 2 * n}

    assert run(double, '{"n": 21}').result == '{"twice":42}'


@pytest.mark.parametrize(
    ("result", "text"),
    [("as it is", "as it is"), (None, "null"), ([1, "ä"], '[1,"ä"]'), (float("nan"), "NaN"), ({1}, "[1]"), ("", "")],
)
def test_what_is_no_text_is_written_as_json(run: Callable[..., CallRecord], result: Any, text: str) -> None:
    def give() -> Any:
        return result

    assert run(give).result == text


class Teapot(Exception):
    """An error of a tool's own."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no such city\nmore"), "Error: The tool failed: ValueError: no such city"),
        (Teapot(), "Error: The tool failed: Teapot"),
        (KeyError("x"), "Error: The tool failed: KeyError: 'x'"),
        (
            FileNotFoundError(2, "No such file", "/home/me/secret.txt"),
            "Error: The tool failed: FileNotFoundError: No such file",
        ),
        (
            RuntimeError("in /home/me/work/a.txt and C:\\Users\\me\\b.txt"),
            "Error: The tool failed: RuntimeError: in a.txt and b.txt",
        ),
        (
            RuntimeError("see https://example.org/a/b"),
            "Error: The tool failed: RuntimeError: see https://example.org/a/b",
        ),
        (StopIteration("over"), "Error: The tool failed: StopIteration: over"),
        (SystemExit(1), "Error: The tool failed: SystemExit: 1"),
        (KeyboardInterrupt(), "Error: The tool failed: KeyboardInterrupt"),
        (asyncio.TimeoutError(), "Error: The tool failed: TimeoutError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_is_told_in_a_line_without_paths(
    run: Callable[..., CallRecord], error: Exception, told: str
) -> None:
    def fail() -> str:
        raise error

    async def fail_later() -> str:
        raise error

    # Python itself lets no StopIteration out of a coroutine.
    for function in (fail,) if isinstance(error, StopIteration) else (fail, fail_later):
        record = run(function)
        assert (record.result, record.outcome) == (told, "failed")


@pytest.mark.core
def test_a_cancellation_of_the_tools_own_is_no_cancellation_of_the_request(run: Callable[..., CallRecord]) -> None:
    async def give_up() -> str:
        raise asyncio.CancelledError

    assert run(give_up).outcome == "failed"


def test_a_slow_function_is_left_behind(run: Callable[..., CallRecord]) -> None:
    goes_on = threading.Event()

    def wait() -> str:
        goes_on.wait(20)
        return "late"

    record = run(wait, limits=SHORT)

    assert (record.result, record.outcome) == ("Error: The tool did not finish within 0.05 seconds.", "timed out")
    goes_on.set()


def test_a_slow_coroutine_is_cancelled(run: Callable[..., CallRecord]) -> None:
    cancelled = threading.Event()

    async def wait() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return ""

    assert run(wait, limits=SHORT).outcome == "timed out"
    assert cancelled.wait(10)


def test_a_tool_that_blocks_its_loop_holds_up_no_function_and_not_the_caller(run: Callable[..., CallRecord]) -> None:
    goes_on = threading.Event()

    async def block() -> str:
        goes_on.wait(20)
        return ""

    def quick() -> str:
        return "quick"

    assert run(block, limits=SHORT).outcome == "timed out"
    assert run(quick).result == "quick"
    goes_on.set()


def test_too_many_that_never_end_are_refused(run: Callable[..., CallRecord], workers: Workers) -> None:
    goes_on = threading.Event()

    def wait() -> str:
        goes_on.wait(20)
        return ""

    for _ in range(MAX_THREADS):
        workers.call(wait)

    record = run(wait)

    assert (record.outcome, record.result) == ("too many", f"Error: Too many tools are still running ({MAX_THREADS}).")
    goes_on.set()


def test_limits_of_size_hold_both_ways(run: Callable[..., CallRecord]) -> None:
    def echo(text: str) -> str:
        return text * 100

    assert run(echo, f'{{"text": "{"x" * 2000}"}}').outcome == "too large"
    record = run(echo, '{"text": "0123456789ä"}')
    assert (record.outcome, len(record.result) < 100) == ("too large", True)
    assert run(echo, '{"text": "0123456789"}').outcome == "ok"


def test_results_that_cannot_be_written_are_told(run: Callable[..., CallRecord]) -> None:
    def give() -> Any:
        return object()

    assert run(give).result == "Error: The tool returned a object that cannot be written as JSON."


def test_unknown_names_and_bad_arguments_are_told(run: Callable[..., CallRecord]) -> None:
    def double(n: int) -> int:
        return n

    assert run(None).result == "Error: There is no tool named 'no_such_tool'."
    assert run(double, "{}").result == "Error: The arguments do not fit. n: Field required"
    assert run(double, '{"n": "\ud800"}').outcome == "bad arguments"


def test_half_characters_are_no_trouble(run: Callable[..., CallRecord]) -> None:
    def give() -> str:
        return "\ud800"

    assert run(give).outcome == "ok"


def test_each_call_leaves_one_line_with_nothing_of_what_was_said(
    run: Callable[..., CallRecord], caplog: pytest.LogCaptureFixture
) -> None:
    def tell(secret: str) -> str:
        raise ValueError(secret)

    with caplog.at_level(logging.INFO):
        run(tell, '{"secret": "blue"}')

    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("proxy-1 tool 'tell' failed 0.")
    assert "blue" not in line


def test_a_cancelled_request_cancels_what_awaits(workers: Workers) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def wait() -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return ""

    async def leave() -> None:
        task = asyncio.create_task(Runner(workers).run(tool_of(wait, "test"), "wait", "{}", LIMITS))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())

    assert cancelled.wait(10)


def test_the_model_is_told_no_login_of_the_networks_proxy(
    run: Callable[..., CallRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:Winter2026x@proxy:3128")

    def fetch() -> str:
        raise RuntimeError("no way through http://anna:Winter2026x@proxy:3128 for Winter2026x; see http://h?key=s3cr3t")

    result = run(fetch).result

    assert "no way through http://…@proxy:3128 for …; see http://h?key=…" in result


class Unspeakable(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class LoudText(str):
    """Raises where it is looked at."""

    def encode(self, *_: object) -> bytes:
        raise RuntimeError("no bytes")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class LoudDict(dict[str, int]):
    """Raises where it is written."""

    def items(self) -> Any:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [Unspeakable(), SystemExit(2), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_is_raised_becomes_a_sentence(
    run: Callable[..., CallRecord], error: BaseException, is_async: bool
) -> None:
    def plain() -> str:
        raise error

    async def awaiting() -> str:
        raise error

    record = run(awaiting if is_async else plain)

    assert record.outcome == "failed"
    assert record.result.startswith(f"Error: The tool failed: {type(error).__name__}")


def test_a_result_that_raises_where_it_is_written_or_measured_hurts_nobody(run: Callable[..., CallRecord]) -> None:
    def loud_text() -> Any:
        return LoudText("well")

    def loud_dict() -> Any:
        return LoudDict(a=1)

    def endless() -> Any:
        return iter(int, 1)

    def failing() -> Any:
        return (1 // (3 - n) for n in range(9))

    assert run(loud_text).result == "well"
    assert run(loud_dict).outcome in ("ok", "failed")
    assert run(endless).outcome == "too large"
    assert run(failing).result == "Error: The tool failed: ZeroDivisionError: integer division or modulo by zero"


def test_an_asynchronous_tool_that_blocks_stops_no_other(workers: Workers) -> None:
    runner, limits = Runner(workers), CallLimits(seconds=1.5, arguments_bytes=1000, result_bytes=1000)

    async def blocks() -> str:
        time.sleep(3)  # noqa: ASYNC251  what this is about
        return "late"

    async def awaits() -> str:
        await asyncio.sleep(0.2)
        return "in time"

    async def both() -> list[CallRecord]:
        tools = [tool_of(function, "test") for function in (blocks, awaits)]
        return await asyncio.gather(*(runner.run(tool, tool.name, "{}", limits) for tool in tools))

    blocked, other = asyncio.run(both())

    assert blocked.outcome == "timed out"
    assert (other.result, other.seconds < 1) == ("in time", True)


def test_a_tool_that_was_caught_blocking_is_run_again_on_another_loop(workers: Workers) -> None:
    runner, limits = Runner(workers), CallLimits(seconds=0.2, arguments_bytes=1000, result_bytes=1000)
    is_first = [True]

    async def blocks_once() -> str:
        if is_first.pop() if is_first else False:
            while True:
                pass
        return "well"

    async def twice() -> list[CallRecord]:
        tool = tool_of(blocks_once, "test")
        return [await runner.run(tool, tool.name, "{}", limits) for _ in range(2)]

    first, second = asyncio.run(twice())

    assert (first.outcome, second.result) == ("timed out", "well")


def test_what_runs_for_ever_in_python_ends_when_its_time_is_up(run: Callable[..., CallRecord]) -> None:
    ended = threading.Event()

    def run_for_ever() -> str:
        try:
            while True:
                pass
        finally:
            ended.set()

    assert run(run_for_ever, limits=SHORT).outcome == "timed out"
    assert ended.wait(5)
