"""The commands that show what has happened: `requests`, `logs`, `status`."""

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.dashboard import Hosted
from fakes.program import Program
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy import paths
from proxy.cli import watch
from proxy.cli.main import cli
from proxy.flow.flow import Flow, Outcome
from proxy.usage.ledger import Ledger
from waiting import wait_for

FIELDS = [
    *("id", "started", "client", "key", "model_asked", "model_sent", "upstream", "status", "outcome", "first_byte_s"),
    *("duration_s", "input_tokens", "cached_tokens", "output_tokens", "cost_usd"),
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def add(*models: str) -> None:
    ledger = Ledger(paths.ledger_file(), lambda: 400, dict)
    for number, model in enumerate(models):
        flow = Flow("POST", "/chat/completions", model_asked=model, client="zed\x1b[2J", status=200)
        flow.began_at += number / 1000
        flow.end(Outcome.CUT, None, None)
        ledger.ended(flow)
    ledger.stop()


def test_requests_are_an_object_a_line_with_null_for_what_is_unknown() -> None:
    add("a", "b", "c")

    lines = [json.loads(line) for line in run("requests", "--json", "--last", "2").output.splitlines()]

    assert [line["model_asked"] for line in lines] == ["b", "c"]
    assert list(lines[0]) == FIELDS
    assert (lines[0]["outcome"], lines[0]["cost_usd"], lines[0]["key"]) == ("cut", None, None)


def test_requests_are_a_table_that_steers_no_terminal() -> None:
    add("a" * 100)

    shown = run("requests").output

    assert "cut" in shown
    assert "zed?[2J" in shown
    assert "\x1b" not in shown
    assert len(run("requests", "--last", "0").output.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["requests", "--json"], ["logs"]])
def test_where_nothing_has_happened_nothing_is_shown(arguments: list[str]) -> None:
    done = run(*arguments)

    assert (done.exit_code, done.output) == (0, "")


def test_a_broken_ledger_is_said_in_one_line() -> None:
    file = paths.ledger_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database " * 500)

    done = run("requests")

    assert done.exit_code == 1
    assert "cannot be read" in done.output


def test_requests_are_followed_by_a_program(empty_computer: Path) -> None:
    add("before")
    with Program(empty_computer, "requests", "--json", "--follow") as following:
        wait_for(lambda: "before" in following.printed, "the first row")
        add("after-1", "after-2")
        wait_for(lambda: "after-2" in following.printed, "the next rows")
        lines = [json.loads(line)["model_asked"] for line in following.printed.splitlines()]

    assert lines == ["before", "after-1", "after-2"]


def test_the_log_is_followed_into_the_file_that_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    file, came, is_over = tmp_path / "log.txt", list[str](), threading.Event()
    file.write_text("1\n2\n3\n")

    def follow() -> None:
        came.extend(watch.lines_of(file, 2, lambda: not is_over.is_set()))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        wait_for(lambda: came == ["2", "3"], "the last lines")
        with file.open("a") as written:
            written.write("4\nhal")
            written.flush()
            wait_for(lambda: came[-1] == "4", "the next line")
            written.write("f\n")
        wait_for(lambda: came[-1] == "half", "a line written in two pieces")
        file.rename(tmp_path / "log.old")
        file.write_text("new\n")
        wait_for(lambda: came[-1] == "new", "the line of the new file")
    finally:
        is_over.set()
        thread.join(5)
    assert came == ["2", "3", "4", "half", "new"]


def test_the_log_shows_its_end() -> None:
    file = paths.log_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"line {number}\n" for number in range(100)))

    assert run("logs", "--last", "2").output == "line 98\nline 99\n"


def test_status_says_that_none_runs() -> None:
    done = run("status")

    assert done.exit_code == 1
    assert "No proxy runs." in done.output
    assert "Today: 0 requests" in done.output
    assert json.loads(run("status", "--json").output)["running"] == []


def test_status_says_what_was_used_today(upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hi")))
    with Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY) as hosted:
        hosted.http.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x"}]})
        hosted.services.ledger.stop()

    assert "Today: 1 request ·" in run("status").output
