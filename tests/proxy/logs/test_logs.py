"""The log: without keys, without forged lines, for its owner alone, and complete."""

import logging
import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.full_disk import full_disk
from fakes.running_proxy import RunningProxy
from proxy import paths
from proxy.logs.lines import SafeFormatter
from proxy.logs.log import Log, start_logging
from proxy.logs.redaction import redact
from proxy.logs.writer import LaterHandler, LogFile

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "sk-proj-abcdefghijklmnop-1234"

log = logging.getLogger("proxy.test")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


def written() -> str:
    """Return what stands in the log file once everything is written."""
    for handler in logging.root.handlers:
        handler.flush()
    return paths.log_file().read_text(encoding="utf-8")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take back what `start_logging` sets for the whole process."""
    names = ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile")
    values = [getattr(logging, name) for name in names]
    loggers = logging.root.manager.loggerDict
    levels = {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}
    yield
    for name, value in zip(names, values, strict=True):
        setattr(logging, name, value)
    for name, logger in loggers.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))


@pytest.fixture
def running() -> Log:
    """Start the log, and hide one stored key that has no telling shape."""
    started = start_logging()
    started.hide(lambda: ["plain-stored-key"])
    return started


# Redaction


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("nothing to hide", "nothing to hide"),
        ("the key plain-stored-key.", "the key [key]."),
        ("plain-stored-key and plain-stored-key", "[key] and [key]"),
        ("xplain-stored-keyx", "x[key]x"),
        (f"the key {KEY} is wrong", "the key sk-pr[key] is wrong"),
        ("sk-abcdefgh", "sk-ab[key]"),
        ("SK-ABCDEFGH", "SK-AB[key]"),
        ("'sk-abcdefgh'", "'sk-ab[key]'"),
        ("key=sk-svcacct-A_b-C", "key=sk-sv[key]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [key]"),
        ("{'authorization': 'bearer abc'}", "{'authorization': 'bearer [key]'}"),
        ('"Bearer   abc", "x"', '"Bearer   [key]", "x"'),
        ("risk-assessment of a desk-chair", "risk-assessment of a desk-chair"),
        ("sk-short", "sk-short"),
        ("op-" + "a" * 43, "op-[key]"),
        ("op-eration", "op-eration"),
        ("forbearers are no Bearers", "forbearers are no Bearers"),
    ],
)
def test_what_is_a_key_or_looks_like_one_is_hidden(text: str, safe: str) -> None:
    assert redact(text, ["plain-stored-key", ""]) == safe


@pytest.mark.parametrize("secrets", [["alpha", "alpha-team-2"], ["alpha-team-2", "alpha"]])
def test_a_key_that_begins_like_another_is_hidden_whole(secrets: list[str]) -> None:
    assert "team-2" not in redact("the key alpha-team-2 was refused", secrets)


def test_a_word_that_servers_take_for_a_key_is_no_secret() -> None:
    assert redact("none of them", ["none", "n", ""]) == "none of them"


def test_without_secrets_only_shapes_are_hidden() -> None:
    assert redact(f"plain-stored-key {KEY}") == "plain-stored-key sk-pr[key]"


def test_a_logged_line_holds_no_key(running: Log) -> None:
    log.info("keys %s, %r and %s", "plain-stored-key", KEY, {"Authorization": "Bearer abcdef"})

    assert "keys [key], 'sk-pr[key]' and {'Authorization': 'Bearer [key]'}" in written()


def test_a_traceback_holds_no_key(running: Log) -> None:
    def refuse() -> None:
        raise ValueError(f"refused {KEY}")

    def fail() -> None:
        try:
            refuse()
        except ValueError as error:
            raise RuntimeError("the key was plain-stored-key") from error

    try:
        fail()
    except RuntimeError:
        log.exception("a request with Bearer abcdef failed")

    text = written()
    assert "Traceback (most recent call last)" in text
    assert "ValueError: refused sk-pr[key]" in text
    assert "RuntimeError: the key was [key]" in text
    assert KEY not in text
    assert "plain-stored-key" not in text  # not in the lines of source either
    assert "Bearer [key] failed" in text


def test_a_stack_holds_no_key() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "here", (), None, sinfo=f"Stack:\n  call({KEY!r})")

    text = SafeFormatter().format(record)

    assert "call('sk-pr[key]')" in text
    assert KEY not in text


def test_the_keys_are_asked_for_at_each_line(running: Log) -> None:
    keys = ["first-stored-key"]
    running.hide(lambda: keys)
    log.info("first-stored-key")
    written()

    keys[:] = ["second-stored-key"]
    log.info("second-stored-key")

    assert "stored-key" not in written()


# Forged lines


@pytest.mark.parametrize(
    ("mark", "escaped"),
    [
        ("\r", "\\x0d"),
        ("\x1b[2K", "\\x1b[2K"),
        ("\x08", "\\x08"),
        ("\x00", "\\x00"),
        ("\x7f", "\\x7f"),
        ("\x85", "\\x85"),
        ("\x0b", "\\x0b"),
        ("\x1c", "\\x1c"),
        ("\u2028", "\\x2028"),
        ("\t", "\\x09"),
    ],
)
def test_a_control_character_is_escaped(mark: str, escaped: str) -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "before %s after", (mark,), None)

    text = SafeFormatter().format(record)

    assert len(text.splitlines()) == 1
    assert text.endswith(f"n: before {escaped} after")


def test_a_line_break_in_a_message_cannot_begin_a_record(running: Log) -> None:
    log.info("asked for /v1\n2024-01-01 00:00:00,000 ERROR   proxy: forged\r\nanother")

    first, *others = written().splitlines()
    assert "asked for /v1" in first
    assert len(others) == 2
    assert all(line.startswith("    ") for line in others)


def test_each_record_begins_with_time_level_and_name(running: Log) -> None:
    log.warning("careful")

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING proxy\.test: careful\n", written())


def test_half_a_character_does_not_lose_its_line(running: Log) -> None:
    log.info("a path with \udcff in it")
    log.info("and the next one")

    text = written()
    assert "in it" in text
    assert "and the next one" in text


# The file


def test_the_log_stands_where_the_system_keeps_logs(running: Log, empty_computer: Path) -> None:
    assert running.file == paths.log_file()
    assert running.file.is_relative_to(empty_computer)
    assert running.file.is_file()


@on_posix
def test_file_and_folder_belong_to_their_owner_alone(running: Log) -> None:
    assert running.file is not None
    assert stat.S_IMODE(running.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.file.parent.stat().st_mode) == 0o700


@on_posix
def test_wider_rights_of_an_earlier_log_are_taken_back() -> None:
    file = paths.log_file()
    file.parent.mkdir(parents=True, mode=0o755)
    file.write_text("earlier\n")
    file.chmod(0o644)

    start_logging()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert written().startswith("earlier\n")


@on_posix
def test_a_full_file_is_turned_over_and_the_older_ones_belong_to_their_owner_too(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "proxy.log")
    file.maxBytes = 100
    for number in range(20):
        file.write(f"{number:02} {'x' * 60}\n")
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
        file.write(f"{number} {'x' * 60}\n")
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
        file.write(f"{number} {'x' * 60}\n")
    monkeypatch.undo()
    file.write("at last\n")
    file.close()

    assert (tmp_path / "proxy.log").read_text() == "at last\n"
    assert "9 xxx" in (tmp_path / "proxy.log.1").read_text()
    assert (tmp_path / "proxy.log.2").read_text() == "older"


@pytest.fixture
def folder_in_the_way() -> Path:
    """Put a file where the log's folder should be: not even root can write a log there."""
    folder = paths.log_file().parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    return folder


def test_a_folder_that_cannot_be_written_gives_a_log_without_a_file(
    folder_in_the_way: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started = start_logging()

    assert started.file is None
    assert f"the log file {paths.log_file()} cannot be written" in caplog.text
    assert folder_in_the_way.read_text() == "in the way"


def test_the_proxy_serves_on_without_a_log(folder_in_the_way: Path, start_proxy: Callable[..., RunningProxy]) -> None:
    start_logging()

    assert start_proxy().http.get("/v1/health").status_code == 200


@on_posix
def test_a_full_disk_stops_nothing_and_the_log_goes_on_once_there_is_room(running: Log) -> None:
    log.info("before")
    written()

    with full_disk():
        log.info("meanwhile")
        written()
    log.info("after")

    text = written()
    assert "before" in text
    assert "after" in text


# Levels


def test_the_terminal_sees_the_same_safe_lines_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(to_terminal=True)

    log.info("the key %s", KEY)

    assert "INFO    proxy.test: the key sk-pr[key]" in capsys.readouterr().err


def test_the_terminal_sees_nothing_unasked(running: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("quiet")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("library", ["httpx2", "openai", "aiohttp", "werkzeug", "mcp"])
def test_libraries_that_print_headers_or_bodies_are_kept_quiet(running: Log, library: str) -> None:
    logging.root.setLevel(logging.DEBUG)

    logging.getLogger(library).debug("headers: Bearer abc")
    logging.getLogger(f"{library}.client").info("body: {}")
    logging.getLogger(library).warning("telling")

    text = written()
    assert "telling" in text
    assert "headers" not in text
    assert "body" not in text


# Nothing is lost


def test_a_record_is_written_a_moment_later_by_itself(running: Log) -> None:
    log.info("a moment later")

    wait_until(lambda: "a moment later" in paths.log_file().read_text())


def test_four_busy_threads_lose_nothing(tmp_path: Path) -> None:
    handler = LaterHandler(LogFile(tmp_path / "proxy.log"), SafeFormatter())
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
    handler = LaterHandler(LogFile(tmp_path / "proxy.log"), SafeFormatter())
    handler.handle(logging.LogRecord("n", logging.INFO, "", 0, "the last word", (), None))

    handler.close()

    assert (tmp_path / "proxy.log").read_text().endswith(" n: the last word\n")
    wait_until(lambda: "log-writer" not in {thread.name for thread in threading.enumerate()})


def test_closing_twice_is_no_error(tmp_path: Path) -> None:
    handler = LaterHandler(LogFile(tmp_path / "proxy.log"), SafeFormatter())

    handler.close()
    handler.close()


def test_the_programs_end_writes_everything() -> None:
    program = (
        "import logging; from proxy.logs.log import start_logging; start_logging()\n"
        "for number in range(1000): logging.info('line %d', number)\n"
    )

    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True, timeout=20)

    lines = paths.log_file().read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [f"line {number}" for number in range(1000)]


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
    handler = LaterHandler(LogFile(path), SafeFormatter())
    for text, values in (("before", ()), (message, arguments), ("after", ())):
        handler.handle(logging.LogRecord("n", logging.INFO, "", 0, text, values, None))

    handler.close()

    assert "before" in path.read_text()
    assert "after" in path.read_text()


@pytest.mark.parametrize(
    ("message", "arguments", "told"),
    [
        ("plain %d%%", (), "plain %d%%"),
        ("%s and %d", ("one", 2), "one and 2"),
        ("%(name)s", ({"name": "a name"},), "a name"),
        ("%s", ({},), "{}"),
    ],
)
def test_a_record_takes_arguments_as_logging_does(
    running: Log, message: str, arguments: tuple[object, ...], told: str
) -> None:
    log.info(message, *arguments)

    assert told in written()
