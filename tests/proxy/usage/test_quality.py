"""How upstreams did: percentiles of their speed, shares of their faults, and what their caches missed."""

import csv
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted
from fakes.environment import clean_environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, Json, ScriptedUpstream, Sse, completion_chunks
from fakes.shared_upstream import Fresh
from proxy.capture.cache_miss import missed_of
from proxy.capture.capture import Capture, Limits
from proxy.flow.flow import Fault, Flow, Outcome
from proxy.usage import quality, summaries
from proxy.usage.ledger import Ledger
from proxy.usage.schema import MIGRATIONS
from waiting import wait_for

CHAT = "/v1/chat/completions"
BODY = {"model": "my-model", "messages": [{"role": "user", "content": "Hi"}]}
ALWAYS = (0.0, 1e12)


def write(file: Path, *flows: Flow) -> None:
    ledger = Ledger(file, lambda: 400, dict)
    for flow in flows:
        ledger.ended(flow)
    ledger.stop()


def answered(
    first_byte_s: float = 1.0,
    duration_s: float = 2.0,
    tokens: int = 100,
    outcome: Outcome = Outcome.WHOLE,
    faults: tuple[Fault, ...] = (),
    **facts: Any,
) -> Flow:
    flow = Flow("POST", "/chat/completions", **{"upstream": "one", "model_asked": "m", "attempts": 1, **facts})
    flow.first_byte_s = first_byte_s
    flow.faults = frozenset(faults)
    flow.end(outcome, None, {"prompt_tokens": 9, "completion_tokens": tokens})
    flow.last_byte_s = duration_s
    return flow


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5], (0.5, 0.5, 0.5)),
        ([0.1 * number for number in range(1, 11)], (0.5, 0.9, 1.0)),
        ([float(number) for number in range(100, 0, -1)], (50, 90, 99)),
        ([1.0, 1.0, 1.0, 9.0], (1.0, 9.0, 9.0)),
    ],
)
def test_percentiles_are_the_nearest_measured_value(
    tmp_path: Path, values: list[float], expected: tuple[float, ...]
) -> None:
    file = tmp_path / "usage.sqlite3"
    write(file, *(answered(value, value + 2, tokens=200) for value in values))

    [row] = quality.speeds(file, *ALWAYS)

    assert (row["upstream"], row["model"], row["first_byte_s"]["answers"]) == ("one", "m", len(values))
    assert [row["first_byte_s"][name] for name in ("p50", "p90", "p99")] == pytest.approx(expected)
    assert row["tokens_per_s"]["p50"] == pytest.approx(100)


def test_each_upstream_and_model_has_its_own_speed_and_what_did_not_end_has_none(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    write(
        file,
        answered(1.0),
        answered(3.0, 4.0, upstream="two"),
        answered(5.0, 6.0, model_sent="other"),
        answered(90.0, 99.0, outcome=Outcome.CUT),
        answered(1.0, 1.01),  # it came at once: no rate
        answered(began_at=time.time() - 90 * 86_400),
    )
    rows = {(row["upstream"], row["model"]): row for row in quality.speeds(file, time.time() - 86_400, 1e12)}
    assert {key: row["first_byte_s"]["p50"] for key, row in rows.items()} == {
        ("one", "m"): 1.0,
        ("two", "m"): 3.0,
        ("one", "other"): 5.0,
    }
    assert rows["one", "m"]["first_byte_s"]["answers"] == 2
    assert rows["one", "m"]["tokens_per_s"]["answers"] == 1


def test_outcomes_are_shares_of_the_requests_that_reached_an_upstream(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    write(
        file,
        answered(outcome=Outcome.CUT),
        answered(faults=("no_done",), repairs=("added [DONE]",)),
        answered(faults=("error_inside",), outcome=Outcome.REFUSED_BY_UPSTREAM),
        answered(faults=("silent",)),
        answered(16.0, 17.0),
        answered(),
        answered(),
        answered(),
        answered(attempts=0, outcome=Outcome.REFUSED_BY_PROXY),
    )
    [row] = quality.outcomes(file, *ALWAYS)
    assert row["requests"] == 8
    assert {name: row[name] for name in ("cut", "no_done", "error_inside", "silent", "repaired", "refused")} == {
        "cut": 1,
        "no_done": 1,
        "error_inside": 1,
        "silent": 2,
        "repaired": 1,
        "refused": 1,
    }
    assert row["shares"]["silent"] == 0.25


@pytest.fixture(scope="module")
def judged(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy to which half a second of silence is long; its first request is over."""
    settings = {"openai_base_url": provider.base_url, "openai_api_key": "k"}
    file = tmp_path_factory.mktemp("ledger") / "usage.sqlite3"
    with clean_environment(), RunningProxy(keep_alive_s=0.5, ledger_file=file, **settings) as proxy:
        provider.answer(Sse(completion_chunks("Hello")))
        proxy.http.post(CHAT, json={**BODY, "stream": True})
        wait_for(lambda: summaries.totals(file, *ALWAYS)["requests"], "the first row")
        yield proxy


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Sse(completion_chunks("Hello"), done=False), "no_done"),
        (Json({"error": {"message": "broke", "type": "server_error"}}), "error_inside"),
        (Sse([*completion_chunks("Hello")[:2], {"error": {"message": "broke"}}], done=False), "error_inside"),
        (Sse(completion_chunks("Hello")[-2:], gap_s=0.8), "silent"),
        (Sse(completion_chunks("Hello")), None),
    ],
    ids=["no done", "error for an answer", "error in a stream", "silent", "good"],
)
def test_what_an_upstream_did_wrong_stands_in_the_row(
    judged: RunningProxy, upstream: Fresh, answer: Answer, fault: str | None, request: pytest.FixtureRequest
) -> None:
    upstream.answer(answer)
    title = request.node.callspec.id[:30]
    judged.http.post(CHAT, json={**BODY, "stream": True}, headers={"X-Title": title})
    file = judged.services.ledger.file
    wait_for(lambda: summaries.latest(file, 1)[0]["client"] == title, "the row")
    [row] = summaries.latest(file, 1)
    assert {name for name in ("no_done", "error_inside", "silent") if row[name]} == ({fault} if fault else set())


# --- what caches missed ---------------------------------------------------------------------------------------------

SYSTEM = {"role": "system", "content": "You are a careful assistant. " * 200}
PRICES = {"m": {"input": 10.0, "cached": 1.0, "output": 0.0}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("read", "write")]


@pytest.mark.parametrize(
    ("cached", "tools", "is_captured", "lost"),
    [
        (0, TOOLS[:1], True, (1, 4000, 0.036)),
        (0, [], True, (1, 4000, 0.036)),
        (3900, TOOLS, True, (0, None, None)),
        (0, TOOLS, True, (0, None, None)),  # nothing tells that this upstream has a cache
        (0, TOOLS[:1], False, (0, None, None)),
    ],
    ids=["a tool fewer", "no tools", "served", "no cache", "not captured"],
)
def test_what_caches_missed_is_summed_with_what_it_cost(
    tmp_path: Path, cached: int, tools: list[Any], is_captured: bool, lost: tuple[int, int | None, float | None]
) -> None:
    capture = Capture(lambda: Limits(is_captured, 10, 10**6))
    ledger = Ledger(
        tmp_path / "usage.sqlite3", lambda: 400, lambda: PRICES, missed=lambda flow: missed_of(capture, flow, PRICES)
    )
    for number, (read, offered) in enumerate([(0, TOOLS), (cached, tools)]):
        flow = Flow("POST", "/chat/completions", model_asked="m", model_sent="m", client="zed", upstream="api")
        flow.upstream_host, flow.began = "api.example.com", flow.began + number
        capture.begun(flow)
        if flow.recorder is not None:
            body = {"model": "m", "tools": offered, "messages": [SYSTEM, {"role": "user", "content": "Hi"}]}
            flow.recorder.body_came(json.dumps(body).encode())
        usage = {"prompt_tokens": 4000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": read}}
        flow.end(Outcome.WHOLE, None, usage)
        capture.ended(flow)
        ledger.ended(flow)
    ledger.stop()
    total = summaries.totals(ledger.file, *ALWAYS)
    assert (total["cache_misses"], total["lost_tokens"], total["lost_usd"]) == lost


# --- what the page reads, and files of older versions ---------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Give a browser on the page of a proxy whose ledger holds some requests of two days."""
    file = tmp_path_factory.mktemp("ledger") / "usage.sqlite3"
    write(
        file,
        answered(client="zed", key_name="editor"),
        answered(client="zed", upstream="two", model_asked="=other()"),
        answered(client="aider", began_at=time.time() - 86_400, outcome=Outcome.CUT),
    )
    with (
        clean_environment(),
        Hosted(ledger_file=file, proxy_daily_limit_tokens=50) as hosted,
        hosted.enter() as browser,
    ):
        yield browser


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", {"m", "=other()"}),
        ("client", {"zed", "aider"}),
        ("upstream", {"one", "two"}),
        ("key", {"editor", None}),
    ],
)
def test_tokens_and_cost_are_told_by_day_and_group(shown: httpx2.Client, by: str, groups: set[str | None]) -> None:
    told = shown.get("/api/usage", params={"by": by, "per": "day", "days": 7}).json()
    assert {row["group"] for row in told["groups"]} == groups
    days = [row["day"] for row in told["groups"]]
    assert days == sorted(days)
    assert len(set(days)) == 2
    assert sum(row["requests"] for row in told["groups"]) == told["total"]["requests"] == 3
    assert {"cache_misses", "lost_tokens", "lost_usd"} <= told["total"].keys()


def test_percentiles_and_outcomes_are_told(shown: httpx2.Client) -> None:
    told = shown.get("/api/usage/quality", params={"days": 7}).json()
    assert {(row["upstream"], row["model"]) for row in told["speeds"]} == {("one", "m"), ("two", "=other()")}
    first, *_ = told["outcomes"]
    assert (first["requests"], first["cut"], first["shares"]["cut"]) == (2, 1, 0.5)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("requests", "lost_tokens"),
        ("groups", "lost_usd"),
        ("days", "day"),
        ("speeds", "first_byte_s_p90"),
        ("outcomes", "shares_cut"),
    ],
)
def test_every_table_comes_as_csv_that_no_spreadsheet_runs(shown: httpx2.Client, table: str, name: str) -> None:
    answer = shown.get("/api/usage.csv", params={"table": table, "days": 7})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"].startswith("attachment")
    assert rows
    assert name in rows[0]
    assert "=other()" not in {value for row in rows for value in row.values()}


@pytest.mark.parametrize("asked", ["usage?by=moon", "usage?per=hour", "usage.csv?table=secrets", "usage.csv?by=id"])
def test_what_there_is_not_is_refused(shown: httpx2.Client, asked: str) -> None:
    assert shown.get(f"/api/{asked}").status_code == 400


def test_limits_are_told_with_what_today_used(shown: httpx2.Client) -> None:
    told = shown.get("/api/limits").json()
    assert told["today"]["requests"] == 2
    assert told["today"]["words"] == "Today 218 tokens · cost unknown · 2 requests"
    [limit] = told["limits"]
    assert (limit["period"], limit["unit"], limit["is_reached"], limit["is_hard"]) == ("day", "tokens", True, False)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_the_file_of_an_older_version_can_be_read(tmp_path: Path, version: int) -> None:
    file = tmp_path / "usage.sqlite3"
    old = sqlite3.connect(file)
    for step in MIGRATIONS[:version]:
        old.execute(step)
    old.execute(f"PRAGMA user_version = {version}")
    old.commit()
    old.close()
    assert summaries.totals(file, *ALWAYS)["requests"] == 0
    assert quality.outcomes(file, *ALWAYS) == []
