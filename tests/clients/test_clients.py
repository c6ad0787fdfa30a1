"""Real clients through the proxy: what is whole is the same as without it, and no fault reads as a success."""

import os
import shutil
from collections.abc import Iterator

import pytest

from clients.bench import NODE_SDKS, Bench, available_sdks
from clients.broken_answers import BROKEN
from clients.node_sdks import FOLDER, why_not
from clients.scenario import Scenario
from clients.slow_answers import SLOW
from clients.whole_answers import WHOLE
from fakes.environment import ROOT


def named(scenario: Scenario) -> str:
    return f"{scenario.call}: {scenario.name}"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(available_sdks()) as running:
        yield running


@pytest.mark.parametrize("scenario", WHOLE, ids=named)
def test_a_whole_answer_is_whole_in_every_client(bench: Bench, scenario: Scenario) -> None:
    pairs = bench.try_out(scenario)

    assert {sdk: wrong for sdk, pair in pairs.items() if (wrong := pair.complaint(scenario))} == {}


@pytest.mark.parametrize("scenario", BROKEN, ids=named)
def test_no_fault_reads_as_a_success_in_any_client(bench: Bench, scenario: Scenario) -> None:
    pairs = bench.try_out(scenario)

    assert {sdk: wrong for sdk, pair in pairs.items() if (wrong := pair.complaint(scenario))} == {}


@pytest.mark.parametrize("scenario", SLOW, ids=named)
def test_a_slow_answer_is_whole_or_told_of_in_every_client(bench: Bench, scenario: Scenario) -> None:
    pairs = bench.try_out(scenario)

    assert {sdk: wrong for sdk, pair in pairs.items() if (wrong := pair.complaint(scenario))} == {}


def test_nodes_clients_were_among_them() -> None:
    if reason := why_not():
        installed = shutil.which("node") is not None
        pytest.fail(reason) if os.environ.get("CI") and installed else pytest.skip(reason)
    assert set(NODE_SDKS) < set(available_sdks())


def test_every_scenario_stands_in_the_table_of_clients() -> None:
    rows = [line.split(" | ")[0].removeprefix("| ") for line in (ROOT / "CLIENTS.md").read_text("utf-8").splitlines()]

    assert {scenario.name for scenario in (*WHOLE, *BROKEN, *SLOW)} <= set(rows)


def test_the_lock_of_nodes_packages_names_no_place_to_fetch_from() -> None:
    lock = (FOLDER / "package-lock.json").read_text("utf-8")

    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')
