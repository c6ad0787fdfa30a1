"""The log: where it stands, who can read it, and what goes into it."""

import logging
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.full_disk import full_disk
from fakes.log_file import KEY, written
from fakes.running_proxy import RunningProxy
from proxy import paths
from proxy.logs.log import Log, recent_lines, start_logging

log = logging.getLogger("proxy.test")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


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


@on_posix
def test_the_recent_lines_say_that_the_file_cannot_be_written_until_it_can(running: Log) -> None:
    with full_disk():
        log.info("meanwhile")
        troubled = recent_lines()
    log.info("after")

    assert "meanwhile" in troubled[0]
    assert troubled[1].startswith("the log file cannot be written: ")
    assert recent_lines()[-1].endswith(" after")


def test_the_terminal_sees_the_same_safe_lines_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(to_terminal=True)

    log.info("the key %s", KEY)
    written()

    assert "INFO    proxy.test: the key sk-pr[key]" in capsys.readouterr().err


def test_the_terminal_sees_nothing_unasked(running: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("quiet")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("library", ["httpx2", "openai", "asyncio", "werkzeug", "mcp"])
def test_libraries_that_print_headers_or_bodies_are_kept_quiet(running: Log, library: str) -> None:
    logging.root.setLevel(logging.DEBUG)

    logging.getLogger(library).debug("headers: Bearer abc")
    logging.getLogger(f"{library}.client").info("body: {}")
    logging.getLogger(library).warning("telling")

    text = written()
    assert "telling" in text
    assert "headers" not in text
    assert "body" not in text
