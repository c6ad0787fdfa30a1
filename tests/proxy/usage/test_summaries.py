"""Prices, totals, groups and CSV: what is unknown is never zero."""

import csv
import io
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from fakes.dashboard import Hosted
from proxy import paths
from proxy.cli.main import cli
from proxy.flow.flow import Flow, Outcome, Usage
from proxy.settings.model import Settings
from proxy.usage import summaries
from proxy.usage.ledger import Ledger
from proxy.usage.prices import UNKNOWN, Cost, cost_of

MILLION = Usage(1_000_000, 1_000_000, cached_tokens=500_000)


def fill(file: Path) -> None:
    ledger = Ledger(file, lambda: 400, lambda: {"a": {"input": 1.0, "output": 2.0}})
    for model, client in (("a", "zed"), ("a", "=cmd()"), ("nobody-knows-it", "zed")):
        flow = Flow(
            "POST", "chat/completions", model_asked=model, client=client, upstream="api.example.com", status=200
        )
        flow.end(Outcome.WHOLE, None, {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000})
        ledger.ended(flow)
    ledger.stop()


@pytest.mark.parametrize("upstream", ["127.0.0.1", "localhost", "127.0.0.1:8080", "::1", "[::1]:80"])
def test_a_local_upstream_is_free(upstream: str) -> None:
    assert cost_of(MILLION, "gpt-4o", upstream, {}) == Cost(0.0, "local")


def test_the_users_own_price_wins() -> None:
    own = {"gpt-4o": {"input": 1.0, "cached": 0.5, "output": 3.0}}
    assert cost_of(MILLION, "gpt-4o", "api.openai.com", own) == Cost(3.75, "settings")
    assert cost_of(MILLION, "gpt-4o", "127.0.0.1", own) == Cost(3.75, "settings")


def test_a_known_model_has_the_price_of_the_table() -> None:
    cost = cost_of(MILLION, "gpt-4o", "api.openai.com", {})
    assert cost.source == "genai-prices"
    assert cost.usd is not None
    assert cost.usd > 1


@pytest.mark.parametrize("model", ["nobody-knows-it", "", "\0", None])
def test_an_unknown_price_is_unknown(model: str | None) -> None:
    assert cost_of(MILLION, model, "api.example.com", {}) == UNKNOWN


@pytest.mark.parametrize("prices", ['{"a": 1}', '{"a": {"input": 1}}', '{"a": {"input": -1, "output": 1}}', "[]"])
def test_wrong_prices_are_refused(prices: str) -> None:
    with pytest.raises(ValueError, match="prices"):
        Settings(proxy_prices=prices)


def test_totals_say_how_many_have_no_price(tmp_path: Path) -> None:
    fill(tmp_path / "u")
    total = summaries.totals(tmp_path / "u", 0, time.time() + 1)
    assert (total["requests"], total["cost_usd"], total["unpriced"]) == (3, 6.0, 1)
    assert summaries.totals(tmp_path / "u", time.time() + 1, time.time() + 2)["requests"] == 0


@pytest.mark.parametrize("by", summaries.GROUPS)
def test_every_group_adds_up(tmp_path: Path, by: str) -> None:
    fill(tmp_path / "u")
    assert sum(group["requests"] for group in summaries.grouped(tmp_path / "u", by, 0, time.time() + 1)) == 3


def test_csv_has_every_row_and_no_formula(tmp_path: Path) -> None:
    fill(tmp_path / "u")
    lines = list(csv.DictReader(io.StringIO("".join(summaries.as_csv(tmp_path / "u", 0, time.time() + 1)))))
    assert [line["client"] for line in lines] == ["zed", "'=cmd()", "zed"]
    assert lines[2]["cost_usd"] == ""


def test_without_a_ledger_there_are_no_requests(tmp_path: Path) -> None:
    assert summaries.totals(tmp_path / "u", 0, 1)["requests"] == 0
    assert summaries.grouped(tmp_path / "u", "model", 0, 1) == []


def test_the_command_prints_a_table_json_and_csv() -> None:
    fill(paths.ledger_file())
    table = CliRunner().invoke(cli, ["usage"])
    assert table.exit_code == 0
    assert "$6.0000+" in table.output
    said = json.loads(CliRunner().invoke(cli, ["usage", "--json", "--by", "client"]).output)
    assert said["total"]["requests"] == 3
    assert CliRunner().invoke(cli, ["usage", "--csv"]).output.count("\n") == 4


def test_a_broken_ledger_is_a_sentence() -> None:
    paths.ledger_file().parent.mkdir(parents=True)
    paths.ledger_file().write_bytes(b"no database" * 500)
    result = CliRunner().invoke(cli, ["usage"])
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_the_page_reads_usage_and_nobody_else_does() -> None:
    fill(paths.ledger_file())
    with Hosted() as hosted, hosted.enter() as browser:
        root = str(browser.base_url).rstrip("/")
        said = browser.get(f"{root}/api/usage?by=model&days=1").json()
        assert said["total"]["requests"] == 3
        assert {group["group"] for group in said["groups"]} == {"a", "nobody-knows-it"}
        assert browser.get(f"{root}/api/usage?by=nothing").status_code == 400
        assert browser.get(f"{root}/api/usage.csv").text.count("\n") == 4
        foreign = browser.get(f"{root}/api/usage", headers={"Origin": "https://evil.example"})
        assert foreign.status_code in (401, 403)
        browser.cookies.clear()
        assert browser.get(f"{root}/api/usage").status_code in (401, 403)
