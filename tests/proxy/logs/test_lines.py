"""A line of the log: without keys, and none that passes for another."""

import logging
import re
import sys

import pytest

from fakes.log_file import KEY, written
from proxy.logs.lines import SafeFormatter
from proxy.logs.log import Log

log = logging.getLogger("proxy.test")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


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
