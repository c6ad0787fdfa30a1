"""Each finished request is one row, without its text, whatever happens to the file or the program."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.environment import ROOT, environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.flow.flow import Flow, Outcome, Usage
from proxy.usage.ledger import Ledger
from proxy.usage.schema import MIGRATIONS, connect
from waiting import at_once, wait_for

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "A question that nobody keeps"}]}
BURST = """
import sys
from pathlib import Path
from proxy.flow.flow import Flow, Outcome
from proxy.usage.ledger import Ledger
import time
ledger = Ledger(Path(sys.argv[1]), lambda: 400, dict)
for number in range(10**9):
    flow = Flow("POST", "chat/completions", id=f"r-{number}", model_asked="m")
    flow.end(Outcome.WHOLE, None, None)
    ledger.ended(flow)
    print(number, time.monotonic(), flush=True)
    time.sleep(0.001)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "usage.sqlite3", lambda: 400, dict)
    yield made
    made.stop()


def rows(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    with sqlite3.connect(file) as connection:
        connection.row_factory = sqlite3.Row
        try:
            found = [dict(row) for row in connection.execute("SELECT * FROM requests ORDER BY began_at")]
        except sqlite3.OperationalError:  # the table is not made yet
            found = []
    connection.close()
    return found


def finished(outcome: Outcome = Outcome.WHOLE, usage: dict[str, Any] | None = None, **facts: Any) -> Flow:
    flow = Flow("POST", "chat/completions", **facts)
    flow.end(outcome, None, usage)
    return flow


def test_a_chat_through_the_proxy_is_a_row_without_text_and_keys(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    proxy = start(upstream.base_url)
    file = proxy.services.ledger.file
    upstream.provider.answer(Json(completion("A text that nobody keeps")))
    httpx2.post(f"{proxy.root_url}/v1/chat/completions", json=CHAT, trust_env=False)
    wait_for(lambda: rows(file), "a row")
    (row,) = rows(file)
    assert (row["outcome"], row["status"], row["attempts"]) == ("whole", 200, 1)
    assert (row["endpoint"], row["model_asked"]) == ("/chat/completions", CHAT["model"])
    assert row["input_tokens"] is not None
    assert (row["cost_usd"], row["price_source"], row["is_estimated"]) == (0.0, "local", 0)
    proxy.services.ledger.stop()
    held = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert b"that nobody keeps" not in held
    assert UPSTREAM_KEY.encode() not in held


@pytest.mark.parametrize("outcome", [Outcome.CUT, Outcome.CANCELLED, Outcome.TIMED_OUT, Outcome.STOPPED])
def test_the_tokens_of_an_unfinished_answer_are_estimated_and_marked(ledger: Ledger, outcome: Outcome) -> None:
    ledger.ended(finished(outcome, model_asked="m", status=200, bytes_up=400, bytes_down=2500))
    ledger.stop()
    (row,) = rows(ledger.file)
    assert (row["is_estimated"], row["input_tokens"], row["output_tokens"]) == (1, 100, 10)


@pytest.mark.parametrize("outcome", [Outcome.WHOLE, Outcome.REFUSED_BY_UPSTREAM, Outcome.UNREACHABLE])
def test_what_was_not_counted_is_unknown_and_not_zero(ledger: Ledger, outcome: Outcome) -> None:
    ledger.ended(finished(outcome, model_asked="m", status=200, bytes_up=400, bytes_down=2500))
    ledger.stop()
    (row,) = rows(ledger.file)
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"], row["is_estimated"]) == (None, None, None, 0)


@pytest.mark.parametrize(
    "facts",
    [
        {"model_asked": "half \ud800 a character"},
        {"model_asked": "long" * 1_000_000},
        {"model_asked": "null\0byte", "client": "'; DROP TABLE requests; --"},
        {"bytes_down": 2**80},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_hostile_facts_are_stored_and_lose_no_neighbour(ledger: Ledger, facts: dict[str, Any]) -> None:
    ledger.ended(finished(**facts))
    ledger.ended(finished(usage={"prompt_tokens": 2**90, "completion_tokens": -(2**90)}))
    ledger.stop()
    assert len(rows(ledger.file)) == 2


def test_a_locked_file_holds_up_no_request_and_loses_no_row(ledger: Ledger) -> None:
    connect(ledger.file).close()
    other = sqlite3.connect(ledger.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for _ in range(1000):
        ledger.ended(finished())
    assert time.monotonic() - began < 0.5
    time.sleep(0.7)  # the writer has run into the lock
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: len(rows(ledger.file)) == 1000, "every row")


@pytest.mark.parametrize("held", [b"this is no database, but a text" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_broken_file_is_said_once_and_left_as_it_is(
    ledger: Ledger, held: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.file.write_bytes(held)
    ledger.ended(finished())
    wait_for(lambda: caplog.records, "a word in the log")
    time.sleep(1.2)  # two more tries
    ledger.stop()
    assert sum("cannot be written" in record.message for record in caplog.records) == 1
    assert ledger.file.read_bytes() == held


def test_the_file_of_a_newer_version_is_left_as_it_is(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    connection = connect(ledger.file)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    ledger.ended(finished())
    wait_for(lambda: caplog.records, "a word in the log")
    ledger.stop()
    assert "version" in caplog.text
    assert rows(ledger.file) == []


def test_rows_older_than_the_days_kept_are_deleted(ledger: Ledger) -> None:
    ledger.ended(finished(began_at=time.time() - 401 * 86_400))
    ledger.ended(finished(began_at=time.time() - 399 * 86_400))
    ledger.stop()
    assert len(rows(ledger.file)) == 1


def test_a_stopped_writer_begins_again_and_leaves_no_thread(ledger: Ledger) -> None:
    others = set(threading.enumerate())
    for number in range(1, 4):
        ledger.ended(finished())
        ledger.stop()
        assert len(rows(ledger.file)) == number
    assert "ledger-writer" not in {thread.name for thread in set(threading.enumerate()) - others}


def test_each_step_of_the_migrations_brings_an_older_file_up_to_date(tmp_path: Path) -> None:
    for version in range(len(MIGRATIONS) + 1):
        file = tmp_path / f"{version}.sqlite3"
        old = sqlite3.connect(file)
        for step in MIGRATIONS[:version]:
            old.execute(step)
        old.execute(f"PRAGMA user_version = {version}")
        old.close()
        connection = connect(file)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_program_loses_no_row_older_than_a_second(tmp_path: Path) -> None:
    at_once(check_killed, ((tmp_path / str(after_s), after_s) for after_s in (1.3, 1.6, 2.1)))


def check_killed(tmp_path: Path, after_s: float) -> None:
    """Kill a program that writes rows after a while, and look at what it has written."""
    tmp_path.mkdir()
    file = tmp_path / "usage.sqlite3"
    writer = subprocess.Popen(
        [sys.executable, "-c", BURST, str(file)], stdout=subprocess.PIPE, cwd=ROOT, env=environment(tmp_path), text=True
    )
    try:
        wait_for(lambda: rows(file), "the first rows")
        time.sleep(after_s)
    finally:
        writer.kill()
    killed_at = time.monotonic()
    printed, _ = writer.communicate()
    told = [line.split() for line in printed.splitlines()]
    old = {f"r-{line[0]}" for line in told if len(line) == 2 and float(line[1]) < killed_at - 1}
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert old
    assert old <= {row["id"] for row in rows(file)}


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cache_write_tokens": 4}},
            Usage(9, 2, 0, 0, 4),
        ),
        ({"input_tokens": 9, "output_tokens": 2, "cache_creation_input_tokens": 5}, Usage(14, 2, 0, 0, 5)),
        ({"input_tokens": 9, "output_tokens": 2, "input_tokens_details": None}, Usage(9, 2)),
    ],
)
def test_tokens_written_to_the_cache_are_counted(counted: dict[str, Any], usage: Usage) -> None:
    assert Usage.of(counted) == usage


def test_a_writer_that_is_stopped_at_once_writes_what_came(tmp_path: Path) -> None:
    for number in range(20):
        made = Ledger(tmp_path / f"{number}.sqlite3", lambda: 400, dict)
        made.ended(finished())
        made.stop()
        assert len(rows(made.file)) == 1
