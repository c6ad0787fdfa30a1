"""The command `limits`: what is used of each limit, and how limits are set and removed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy import paths
from proxy.cli.main import cli
from proxy.flow.flow import Flow, Outcome
from proxy.settings.store import SettingsStore
from proxy.usage.ledger import Ledger


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["limits", *words])


def kept() -> Any:
    return SettingsStore(paths.settings_file()).current


def use(tokens: int, key: str | None, **facts: Any) -> None:
    ledger = Ledger(paths.ledger_file(), lambda: 400, dict)
    flow = Flow("POST", "chat/completions", key_name=key, model_asked="nobody-knows", **facts)
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": tokens, "completion_tokens": 0})
    ledger.ended(flow)
    ledger.stop()


def test_without_limits_it_says_how_to_set_one() -> None:
    shown = run()
    assert shown.exit_code == 0
    assert "limits set --day-usd" in shown.output


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("--day-usd", "proxy_daily_limit_usd"),
        ("--month-usd", "proxy_monthly_limit_usd"),
        ("--day-tokens", "proxy_daily_limit_tokens"),
        ("--month-tokens", "proxy_monthly_limit_tokens"),
    ],
)
def test_a_limit_of_all_requests_is_set_shown_and_removed(option: str, field: str) -> None:
    assert run("set", option, "7").exit_code == 0
    assert getattr(kept(), field) == 7
    assert "of 7 tokens" in run().output or "of $7.00" in run().output
    assert run("clear").exit_code == 0
    assert getattr(kept(), field) is None


def test_a_limit_of_a_key_is_added_to_those_it_has_and_removed_with_them() -> None:
    run("set", "--key", "editor", "--day-usd", "2")
    run("set", "--key", "editor", "--month-tokens", "5000")
    run("set", "--key", "*", "--day-tokens", "9")
    assert kept().proxy_key_limits == {"editor": {"day_usd": 2, "month_tokens": 5000}, "*": {"day_tokens": 9}}
    assert run("clear", "--key", "editor").exit_code == 0
    assert kept().proxy_key_limits == {"*": {"day_tokens": 9}}
    assert run("clear", "--key", "editor").exit_code != 0


def test_it_tells_how_much_is_used_for_people_and_for_programs() -> None:
    run("set", "--key", "editor", "--day-tokens", "100", "--day-usd", "1")
    use(150, "editor")
    use(5000, "another")
    use(5000, "editor", began_at=time.time() - 400 * 86_400)
    of_usd, of_tokens = json.loads(run("--json").output.splitlines()[-1])
    assert (of_tokens["key"], of_tokens["period"], of_tokens["unit"]) == ("editor", "day", "tokens")
    assert (of_tokens["used"], of_tokens["limit"], of_tokens["is_reached"], of_tokens["is_hard"]) == (
        150,
        100,
        True,
        True,
    )
    assert (of_usd["used"], of_usd["unpriced"], of_usd["is_reached"]) == (0, 1, False)
    assert of_tokens["resets_at"] > time.time()
    shown = run().output
    assert "150 tokens of 100 tokens today" in shown
    assert "its requests are refused" in shown
    assert "1 request whose price is unknown" in shown


@pytest.mark.parametrize(
    "words", [("set",), ("set", "--key", "a"), ("set", "--day-usd", "-1"), ("set", "--day-tokens", "x")]
)
def test_what_is_no_limit_is_refused(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code != 0
    assert not paths.settings_file().exists()


def test_a_ledger_that_cannot_be_read_is_said() -> None:
    file: Path = paths.ledger_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no ledger" * 1000)
    shown = run()
    assert shown.exit_code == 1
    assert "cannot be read" in shown.output
