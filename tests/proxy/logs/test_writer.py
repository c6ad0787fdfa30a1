"""The log file: turned over when it is full, and complete."""

import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fakes.environment import ROOT
from fakes.log_file import KEY, written
from proxy import paths
from proxy.logs.lines import SafeFormatter
from proxy.logs.log import Log
from proxy.logs.writer import MAX_WAITING, LogFile, LogQueue
from waiting import wait_for

log = logging.getLogger("proxy.test")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


def write(file: LogFile, line: str) -> None:
    """Write one line as a batch."""
    file.handle(logging.LogRecord("n", logging.INFO, "", 0, line, None, None))


@on_posix
def test_a_full_file_is_turned_over_and_the_older_ones_belong_to_their_owner_too(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "proxy.log")
    file.maxBytes = 100
    for number in range(20):
        write(file, f"{number:02} {'x' * 60}")
    file.close()

    files = sorted(tmp_path.glob("proxy.log*"))
    assert [path.name for path in files] == ["proxy.log", *(f"proxy.log.{number}" for number in range(1, 5))]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert files[0].read_text().startswith("19 ")
    assert files[1].read_text().startswith("18 ")


def test_a_file_that_cannot_be_turned_over_is_written_on(tmp_path: Path) -> None:
    (tmp_path / "proxy.log.3").write_text("older")
    (tmp_path / "proxy.log.4" / "a folder in the way").mkdir(parents=True)
    file = LogFile(tmp_path / "proxy.log")
    file.maxBytes = 100

    for number in range(5):
        write(file, f"{number} {'x' * 60}")
    file.close()

    assert "4 xxx" in (tmp_path / "proxy.log").read_text()


def test_a_file_another_process_holds_on_to_costs_no_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proxy.log.1").write_text("older")
    file = LogFile(tmp_path / "proxy.log")
    file.maxBytes = 100
    move = os.replace

    def refuse(source: object, target: object) -> None:
        """Do as Windows does with a file that is open elsewhere."""
        if str(source).endswith("proxy.log"):
            raise PermissionError(13, "in use")
        move(str(source), str(target))

    monkeypatch.setattr("os.replace", refuse)
    monkeypatch.setattr("os.rename", refuse)
    for number in range(10):
        write(file, f"{number} {'x' * 60}")
    monkeypatch.undo()
    write(file, "at last")
    file.close()

    assert (tmp_path / "proxy.log").read_text() == "at last\n"
    assert "9 xxx" in (tmp_path / "proxy.log.1").read_text()
    assert (tmp_path / "proxy.log.2").read_text() == "older"


def test_a_record_is_written_a_moment_later_by_itself(running: Log) -> None:
    log.info("a moment later")

    wait_for(lambda: "a moment later" in paths.log_file().read_text(), "the line")


def test_four_busy_threads_lose_nothing(tmp_path: Path) -> None:
    handler = LogQueue(SafeFormatter(), LogFile(tmp_path / "proxy.log"))
    logger = logging.Logger("busy")
    logger.addHandler(handler)

    def work(name: int) -> None:
        for number in range(500):
            logger.info("%d-%d", name, number)
            if number % 100 == name:
                handler.flush()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.close()

    lines = [line.rpartition(" busy: ")[2] for line in (tmp_path / "proxy.log").read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name}-{number}" for name in range(4) for number in range(500))
    for name in range(4):  # each thread's lines in its order
        assert [line for line in lines if line.startswith(f"{name}-")] == [f"{name}-{n}" for n in range(500)]


def test_closing_writes_the_rest_and_ends_the_thread(tmp_path: Path) -> None:
    handler = LogQueue(SafeFormatter(), LogFile(tmp_path / "proxy.log"))
    handler.handle(logging.LogRecord("n", logging.INFO, "", 0, "the last word", (), None))

    handler.close()

    assert (tmp_path / "proxy.log").read_text().endswith(" n: the last word\n")
    wait_for(lambda: "log-writer" not in {thread.name for thread in threading.enumerate()}, "the end of the thread")


def test_closing_twice_is_no_error(tmp_path: Path) -> None:
    handler = LogQueue(SafeFormatter(), LogFile(tmp_path / "proxy.log"))

    handler.close()
    handler.close()


def test_the_programs_end_writes_everything() -> None:
    program = (
        "import logging; from proxy.logs.log import start_logging; start_logging()\n"
        "for number in range(1000): logging.info('line %d', number)\n"
    )

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=20)

    lines = paths.log_file().read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [f"line {number}" for number in range(1000)]


class Told:
    """An argument that says which thread writes it out."""

    def __str__(self) -> str:
        return f"written out in {threading.current_thread().name}"


def test_a_record_is_formatted_in_the_writers_thread(running: Log) -> None:
    log.info("%s", Told())

    assert "written out in log-writer" in written()


class Stuck(logging.Handler):
    """A terminal that takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.released = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.is_asked.set()
        self.released.wait(20)


def test_a_terminal_that_hangs_holds_neither_the_caller_nor_the_file(tmp_path: Path) -> None:
    stuck = Stuck()
    terminal, file = LogQueue(SafeFormatter(), stuck), LogQueue(SafeFormatter(), LogFile(tmp_path / "proxy.log"))
    logger = logging.Logger("busy")
    for handler in (terminal, file):
        logger.addHandler(handler)

    logger.info("the first")
    assert stuck.is_asked.wait(5)
    logger.info("the second")
    file.close()
    stuck.released.set()
    terminal.close()

    assert (tmp_path / "proxy.log").read_text().endswith(" busy: the second\n")


def test_lines_for_which_there_was_no_room_are_counted(tmp_path: Path) -> None:
    stuck, extra = Stuck(), 7
    handler = LogQueue(SafeFormatter(), stuck, LogFile(tmp_path / "proxy.log"))
    logger = logging.Logger("busy")
    logger.addHandler(handler)
    logger.info("the first")
    assert stuck.is_asked.wait(5)

    for number in range(MAX_WAITING + extra):
        logger.info("%d", number)
    stuck.released.set()
    handler.flush()
    wait_for(lambda: f"busy: {MAX_WAITING - 1}\n" in (tmp_path / "proxy.log").read_text(), "the lines", 20)
    logger.info("the last")
    handler.close()

    *_, missing, last = (tmp_path / "proxy.log").read_text().splitlines()
    assert f"lines missing here: {extra} " in missing
    assert last.endswith(" busy: the last")


def test_lines_whose_keys_cannot_be_taken_out_are_not_written_and_the_log_goes_on(running: Log) -> None:
    def fail() -> list[str]:
        raise RuntimeError("no keys")

    running.hide(fail)
    log.info("plain-stored-key")
    written()
    running.hide(list)
    log.info("and on")

    text = written()
    assert "plain-stored-key" not in text
    assert "lines missing here: 1 (keys cannot be taken out of them: RuntimeError)" in text
    assert text.endswith(": and on\n")


class Unprintable:
    """What no log can show."""

    def __repr__(self) -> str:
        raise RuntimeError("not to be printed")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [("%d files", ("many",)), ("%s and %s", ("one",)), ("no place", ("one",)), ("%(a)s", ("one",)), ("%", ("one",))],
)
def test_a_record_that_cannot_be_formatted_loses_no_other(
    tmp_path: Path, message: str, arguments: tuple[object, ...]
) -> None:
    assert_others_are_written(tmp_path / "proxy.log", message, arguments)


def test_a_record_of_what_cannot_be_printed_loses_no_other(tmp_path: Path) -> None:
    assert_others_are_written(tmp_path / "proxy.log", "%s", (Unprintable(),))


def test_a_record_that_cannot_be_formatted_is_known_by_its_message_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log"
    assert_others_are_written(path, f"{KEY}\n%d files", ("many",))

    assert r"a record of n that cannot be written: 'sk-pr[key]\n%d files'" in path.read_text()


def assert_others_are_written(path: Path, message: str, arguments: tuple[object, ...]) -> None:
    handler = LogQueue(SafeFormatter(), LogFile(path))
    for text, values in (("before", ()), (message, arguments), ("after", ())):
        handler.handle(logging.LogRecord("n", logging.INFO, "", 0, text, values, None))

    handler.close()

    assert "before" in path.read_text()
    assert "after" in path.read_text()
