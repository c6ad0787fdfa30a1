"""A flood: what it says is said, and neither memory nor disk nor the other threads have to bear it."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from fakes.log_file import KEY
from proxy.logs import repeats, writer
from proxy.logs.lines import SafeFormatter, cut
from proxy.logs.repeats import MAX_EQUAL, MAX_KINDS
from proxy.logs.writer import LogFile, LogQueue
from waiting import wait_for

FLOOD = 3_000


class Logged:
    """A logger that writes to a file."""

    def __init__(self, folder: Path) -> None:
        self.file = LogFile(folder / "proxy.log")
        self.handler = LogQueue(SafeFormatter(), self.file)
        self.logger = logging.Logger("busy")
        self.logger.addHandler(self.handler)

    def text(self) -> str:
        """Return what stands in the file."""
        return Path(self.file.baseFilename).read_text(encoding="utf-8")


@pytest.fixture
def logged(tmp_path: Path) -> Any:
    made = Logged(tmp_path)
    yield made
    made.handler.close()


def raising(message: str) -> None:
    raise OSError(24, message)


def plain(logger: logging.Logger, number: int) -> None:
    logger.warning("nobody answers at %s", "http://localhost:11434")


def with_traceback(logger: logging.Logger, number: int) -> None:
    try:
        raising("Too many open files")
    except OSError:
        logger.exception("socket.accept() out of system resource")


def without_arguments(logger: logging.Logger, number: int) -> None:
    logger.critical("the disk is full")


Speak = Callable[[logging.Logger, int], None]


@pytest.mark.parametrize("speak", [plain, with_traceback, without_arguments])
def test_a_flood_of_equal_lines_is_a_few_and_one_that_counts_the_others(logged: Logged, speak: Speak) -> None:
    for number in range(FLOOD):
        speak(logged.logger, number)
    logged.logger.warning("something else")
    logged.handler.close()

    heads = [line for line in logged.text().splitlines() if line.startswith("20")]
    assert len(heads) == MAX_EQUAL + 2
    assert heads[MAX_EQUAL].endswith(" busy: something else")
    assert f"busy: {FLOOD - MAX_EQUAL} more lines like this within " in heads[-1]
    assert logged.text().count("Traceback") <= MAX_EQUAL


@pytest.mark.parametrize("speak", [plain, with_traceback, without_arguments])
def test_the_count_comes_by_itself_when_the_flood_has_ended(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, speak: Speak
) -> None:
    monkeypatch.setattr(repeats, "WINDOW_S", 0.5)
    for number in range(MAX_EQUAL + 5):
        speak(logged.logger, number)

    wait_for(lambda: "more lines like this within" in logged.text(), "the count")
    speak(logged.logger, 0)
    logged.handler.flush()

    heads = [line for line in logged.text().splitlines() if line.startswith("20")]
    assert len(heads) == MAX_EQUAL + 2  # the last one is the first of a new window


@pytest.mark.parametrize(
    "speak",
    [
        lambda logger, number: logger.warning("req-%d POST /v1/chat/completions 0.1 s 502", number),
        lambda logger, _: logger.info("req-1 GET /v1/models 0.1 s 200"),
        lambda logger, number: logger.error(f"the tool {number} failed"),
    ],
)
def test_lines_that_differ_and_lines_of_what_went_well_are_all_written(logged: Logged, speak: Speak) -> None:
    for number in range(4 * MAX_EQUAL):
        speak(logged.logger, number)
    logged.handler.close()

    assert len(logged.text().splitlines()) == 4 * MAX_EQUAL


def fail_at_one_place(logger: logging.Logger, number: int) -> None:
    try:
        raising(f"number {number} of them")
    except OSError:
        logger.exception("request %d failed", number)


def test_of_tracebacks_of_one_place_a_few_are_written_whatever_they_say(logged: Logged) -> None:
    for number in range(5 * MAX_EQUAL):
        fail_at_one_place(logged.logger, number)
    logged.handler.close()

    assert logged.text().count("Traceback") == MAX_EQUAL
    assert logged.text().count(" busy: request ") == 5 * MAX_EQUAL


def test_the_kinds_that_are_told_apart_are_few(logged: Logged) -> None:
    for number in range(3 * MAX_KINDS):
        logged.logger.warning("%d", number)

    assert len(logged.handler._repeats._windows) <= MAX_KINDS  # the bound itself: nothing else shows it


class Stuck(logging.Handler):
    """A disk that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.released = Event(), Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.is_asked.set()
        self.released.wait(20)


@pytest.mark.parametrize(
    "speak",
    [
        lambda logger, number, text: logger.info(f"{number} {text}"),
        lambda logger, number, text: logger.info("%d %s", number, text),
        lambda logger, number, text: logger.warning("%s", f"{text} {number}"),
    ],
)
def test_what_waits_for_a_disk_that_hangs_is_bounded_in_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speak: Callable[[logging.Logger, int, str], None]
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING_CHARACTERS", 1_000_000)
    stuck = Stuck()
    handler = LogQueue(SafeFormatter(), stuck, LogFile(tmp_path / "proxy.log"))
    logger = logging.Logger("busy")
    logger.addHandler(handler)
    logger.info("the first")
    assert stuck.is_asked.wait(10)

    for number in range(400):
        speak(logger, number, "x" * 10_000)
    waiting = handler.queue.qsize()
    stuck.released.set()
    handler.flush()
    logger.info("the last")
    handler.close()

    assert waiting <= 102
    assert f"lines missing here: {400 - waiting} " in (tmp_path / "proxy.log").read_text()


def test_an_exception_that_waits_holds_nothing_of_what_its_functions_had_in_their_hands(tmp_path: Path) -> None:
    stuck = Stuck()
    handler = LogQueue(SafeFormatter(), stuck, LogFile(tmp_path / "proxy.log"))
    logger = logging.Logger("busy")
    logger.addHandler(handler)
    logger.info("the first")
    assert stuck.is_asked.wait(10)
    held = bytearray(10)
    before = sys.getrefcount(held)

    def work(body: bytearray) -> None:
        try:
            raising(str(len(body)))
        except OSError:
            logger.exception("it failed")

    work(held)
    after = sys.getrefcount(held)
    stuck.released.set()
    handler.close()

    assert after == before
    assert "in raising" in (tmp_path / "proxy.log").read_text()


@pytest.mark.parametrize("size", [100_000, 1_000_000, 5_000_000])
def test_a_long_line_is_cut_and_says_how_much_is_missing(logged: Logged, size: int) -> None:
    logged.logger.warning("%s", "word " * (size // 5))
    logged.handler.close()

    line = logged.text()
    assert len(line) < writer.MAX_LINE + 100
    assert line.endswith(" more characters)\n")


@pytest.mark.parametrize("key", [KEY, "plain-stored-key", f"Bearer {KEY}"])
def test_no_key_is_cut_in_two(tmp_path: Path, key: str) -> None:
    logged = Logged(tmp_path)
    logged.handler._formatter.secrets = lambda: ["plain-stored-key"]
    for place in range(writer.MAX_LINE - 120, writer.MAX_LINE + 5, 3):
        logged.logger.info("%s %s %s", "x" * place, key, "y" * 9_000)
    logged.handler.close()

    assert "plain-s" not in logged.text()
    assert KEY[3:12] not in logged.text()


@pytest.mark.parametrize(
    ("text", "limit"), [("a b c d", 3), ("word", 2), ("x" * 10_000, 6_000), ("", 0), ("a\nb c", 3)]
)
def test_what_is_cut_is_no_longer_than_it_may_be(text: str, limit: int) -> None:
    said, _, missing = cut(text, limit).partition(" … (")

    assert text.startswith(said)
    assert len(said) <= max(limit, 0)
    assert not missing or missing == f"{len(text) - len(said)} more characters)"


def test_no_file_grows_beyond_its_size_however_much_is_written_at_once(tmp_path: Path) -> None:
    logged = Logged(tmp_path)
    logged.file.maxBytes = 300_000
    for number in range(3_000):
        logged.logger.info("%d %s", number, "x" * 1_000)
    logged.handler.close()

    sizes = [path.stat().st_size for path in tmp_path.glob("proxy.log*")]
    assert len(sizes) == 5
    assert max(sizes) <= 300_000
