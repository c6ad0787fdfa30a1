"""What was learned about an upstream: forgotten in time, bounded, and never more than was learned."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.policy.refused_parameters import REPAIRABLE, Repair
from proxy.upstream.facts import ABOUT, DAY_S, KEEPING, MAX_NAME, TOLD, Fact, Habit
from proxy.upstream.learned import LearnedFacts
from waiting import wait_for

UPSTREAM = "https://api.example.com/v1"
NOW = 1_800_000_000.0
CONTRARY = {one: other for one in Habit for other in Habit if one is not other and ABOUT[one] == ABOUT[other]}
DROP = Repair("temperature")
RENAME = Repair("max_tokens", "max_completion_tokens")
MOST_HABITS, MOST_REPAIRS = KEEPING[Habit].most, KEEPING[Repair].most


class Clock:
    """A clock that the test sets."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "learned.json"


def saved(file: Path) -> list[dict[str, Any]]:
    """Return what stands in the file once nobody writes any more."""
    wait_until_written()
    rows: list[dict[str, Any]] = json.loads(file.read_bytes())
    return rows


def wait_until_written() -> None:
    wait_for(lambda: "learned" not in {thread.name for thread in threading.enumerate()}, "the end of the writing")


@pytest.mark.parametrize("habit", Habit)
@pytest.mark.parametrize(
    ("later_s", "is_known"),
    [(0.0, True), (DAY_S - 1, True), (DAY_S, False), (400 * DAY_S, False), (-1.0, False), (-400 * DAY_S, False)],
)
def test_a_habit_is_forgotten_after_a_day_and_where_the_clock_was_set_back(
    file: Path, habit: Habit, later_s: float, is_known: bool
) -> None:
    clock = Clock()
    facts = LearnedFacts(file, clock)
    facts.learn(UPSTREAM, "m", habit)
    saved(file)

    clock.now = NOW + later_s

    assert facts.has(UPSTREAM, "m", habit) == is_known
    assert LearnedFacts(file, clock).has(UPSTREAM, "m", habit) == is_known  # after a restart too
    assert bool(facts.described_habits()) == (is_known and habit in TOLD)
    assert not facts.has(UPSTREAM, "another", habit)
    assert not facts.has("https://other.example.com/v1", "m", habit)


@pytest.mark.parametrize("repair", [DROP, RENAME, Repair("max_tokens")], ids=str)
@pytest.mark.parametrize(
    ("later_s", "is_known"), [(0.0, True), (30 * DAY_S - 1, True), (30 * DAY_S, False), (-1.0, False)]
)
def test_a_repair_is_forgotten_after_thirty_days(file: Path, repair: Repair, later_s: float, is_known: bool) -> None:
    clock = Clock()
    facts = LearnedFacts(file, clock)
    assert facts.learn("a", "m", repair)
    saved(file)

    clock.now = NOW + later_s

    for each in (facts, LearnedFacts(file, clock)):
        assert each.repairs_of("a", "m") == ([repair] if is_known else [])
        assert each.described_repairs() == ([f"{repair} for m at a"] if is_known else [])
        assert each.repairs_of("a", "another") == each.repairs_of("another", "m") == []
    assert facts.learn("a", "m", repair) is not is_known
    wait_until_written()


@pytest.mark.parametrize("habit", Habit)
def test_what_is_seen_again_holds_for_another_day_and_the_contrary_ends_it(file: Path, habit: Habit) -> None:
    clock = Clock()
    facts = LearnedFacts(file, clock)
    facts.learn(UPSTREAM, "m", habit)
    clock.now += DAY_S - 1
    facts.learn(UPSTREAM, "m", habit)
    clock.now += DAY_S - 1

    assert facts.has(UPSTREAM, "m", habit)
    facts.learn(UPSTREAM, "m", CONTRARY[habit])
    assert not facts.has(UPSTREAM, "m", habit)
    assert facts.has(UPSTREAM, "m", CONTRARY[habit])
    saved(file)


@pytest.mark.parametrize("habit", Habit)
def test_an_upstream_that_was_judged_a_day_ago_is_judged_anew(file: Path, habit: Habit) -> None:
    clock = Clock()
    facts = LearnedFacts(file, clock)
    facts.learn(UPSTREAM, "m", habit)
    clock.now += 2 * DAY_S

    assert not any(facts.has(UPSTREAM, "m", each) for each in Habit)
    facts.learn(UPSTREAM, "m", habit)
    assert facts.has(UPSTREAM, "m", habit)
    saved(file)


def test_facts_of_all_kinds_stand_beside_each_other(file: Path) -> None:
    facts = LearnedFacts(file, Clock())
    learned: tuple[Fact, ...] = (DROP, Repair("stream_options"), Habit.REFUSES_USAGE, Habit.NEVER_FINISHES)
    for fact in learned:
        facts.learn(UPSTREAM, "m", fact)
    saved(file)

    for each in (facts, LearnedFacts(file, Clock())):
        assert each.repairs_of(UPSTREAM, "m") == [Repair("stream_options"), DROP]
        assert each.has(UPSTREAM, "m", Habit.REFUSES_USAGE)
        assert each.has(UPSTREAM, "m", Habit.NEVER_FINISHES)


HABIT = {"upstream": UPSTREAM, "model": "m", "habit": Habit.REFUSES_USAGE.value, "at": NOW}
REPAIR = {"upstream": UPSTREAM, "model": "m", "parameter": "temperature", "as": None, "at": NOW}


def row(of: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps([{name: value for name, value in {**of, **changes}.items() if value != "left out"}]).encode()


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "broken off": row(HABIT)[:-4],
    "half of two": json.dumps([REPAIR, HABIT]).encode()[: len(row(REPAIR))],
    "no list": json.dumps({"a": HABIT}).encode(),
    "null": b"null",
    "rows that are none": b'[1, null, "", [], {}]',
    "a row too short": row(HABIT, at="left out"),
    "a row of an older version": json.dumps([[UPSTREAM, "m", HABIT["habit"], NOW]]).encode(),
    "another habit": row(HABIT, habit="is free of charge"),
    "a list as a habit": row(HABIT, habit=[HABIT["habit"]]),
    "a number as a name": row(HABIT, upstream=1),
    "a time that is text": row(HABIT, at="now"),
    "a time that is none": row(HABIT, at=float("nan")),
    "no end of time": row(HABIT, at=float("inf")),
    "a time beyond all clocks": row(HABIT, at=10**400),
    "a time to come": row(REPAIR, at=9e12),
    "what no repair may touch": row(REPAIR, parameter="messages"),
    "a key that no repair may touch": row(REPAIR, parameter="authorization"),
    "a name that no repair may give": row(REPAIR, parameter="max_tokens", **{"as": "model"}),
    "a new name for what is dropped": row(REPAIR, **{"as": "top_p"}),
    "an object as a new name": row(REPAIR, **{"as": {"temperature": 1}}),
    "a long name": row(REPAIR, model="m" * (MAX_NAME + 1)),
    "not UTF-8": b"\xff\xfe\x00[",
    "UTF-16 of another program": row(HABIT, at="left out").decode().encode("utf-16"),
    "nested": b"[" * 100_000,
    "too long": b" " * 3_000_000 + row(HABIT),
}
UNTOLD = ("a time that is none", "no end of time", "a time to come")  # rows as any other, of no time that is past


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_teaches_nothing_is_told_once_and_written_anew(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    facts = LearnedFacts(file, Clock())

    with caplog.at_level(logging.DEBUG, "proxy"):
        assert not any(facts.has(UPSTREAM, "m", each) for each in Habit)
        assert facts.repairs_of(UPSTREAM, "m") == facts.described_habits() == facts.described_repairs() == []
        facts.learn(UPSTREAM, "m", Habit.SENDS_FINISH)
        facts.learn(UPSTREAM, "m", DROP)
        rows = saved(file)

    assert [record.levelname for record in caplog.records] == ["WARNING"] * (content not in map(DAMAGED.get, UNTOLD))
    assert not any(record.exc_info for record in caplog.records)
    assert sorted(rows, key=str) == sorted([{**HABIT, "habit": Habit.SENDS_FINISH.value}, REPAIR], key=str)


@pytest.mark.parametrize("wrong", [{"parameter": "messages"}, {"upstream": None}, {"at": "now"}])
def test_a_wrong_row_costs_no_right_one(file: Path, wrong: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps([HABIT, {**REPAIR, **wrong}, {**REPAIR, "parameter": "top_p"}]))
    facts = LearnedFacts(file, Clock())

    assert facts.has(UPSTREAM, "m", Habit.REFUSES_USAGE)
    assert facts.repairs_of(UPSTREAM, "m") == [Repair("top_p")]


OLD_HABIT = json.dumps([[UPSTREAM, "m", Habit.REFUSES_USAGE.value, NOW]]).encode()


@pytest.mark.parametrize(
    ("old", "found"),
    [
        ({"learned-repairs.json": row(REPAIR)}, [DROP]),
        ({"learned-repairs.json": row(REPAIR), "upstreams.json": OLD_HABIT}, [DROP]),
        ({"upstreams.json": OLD_HABIT}, []),
        ({"learned-repairs.json": b"{", "upstreams.json": b""}, []),
        ({"learned-repairs.json": row(REPAIR, parameter="messages")}, []),
        ({"learned-repairs.json": row(REPAIR), "learned.json": b"[]"}, []),
        ({"learned-repairs.json": b"", "learned.json": row(REPAIR)}, [DROP]),
    ],
)
def test_files_of_an_older_version_are_taken_over_or_go(
    file: Path, old: dict[str, bytes], found: list[Repair], caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir(parents=True)
    for name, content in old.items():
        file.with_name(name).write_bytes(content)
    facts = LearnedFacts(file, Clock())

    assert facts.repairs_of(UPSTREAM, "m") == found
    assert not facts.has(UPSTREAM, "m", Habit.REFUSES_USAGE)
    facts.learn(UPSTREAM, "m", Repair("top_p"))
    assert [each["parameter"] for each in saved(file)] == [*(each.parameter for each in found), "top_p"]
    assert [each.name for each in file.parent.iterdir()] == ["learned.json"]
    assert LearnedFacts(file, Clock()).repairs_of(UPSTREAM, "m") == [*found, Repair("top_p")]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("name", ["learned.json", "learned-repairs.json", "upstreams.json"])
@pytest.mark.parametrize("spoil", [Path.mkdir, lambda path: path.symlink_to(path.with_name("nowhere") / "deep")])
def test_what_stands_in_a_files_place_costs_the_memory_of_it_alone(
    file: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    file.parent.mkdir(parents=True)
    spoil(file.with_name(name))
    facts = LearnedFacts(file, Clock())

    facts.learn(UPSTREAM, "m", Habit.NEVER_FINISHES)
    facts.learn(UPSTREAM, "m", DROP)
    wait_until_written()

    assert facts.has(UPSTREAM, "m", Habit.NEVER_FINISHES)
    assert facts.repairs_of(UPSTREAM, "m") == [DROP]


@pytest.mark.parametrize("fact", [Habit.REFUSES_USAGE, DROP])
@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "é" * 1_000, "m" * 1_000_000])
def test_a_name_that_a_caller_made_long_is_not_kept(file: Path, name: str, fact: Fact) -> None:
    facts = LearnedFacts(file, Clock())

    assert not facts.learn(UPSTREAM, name, fact)
    assert not facts.learn(name, "m", fact)
    assert facts.described_habits() == facts.described_repairs() == []


def test_however_many_models_a_caller_names_the_last_ones_are_kept(file: Path) -> None:
    clock = Clock()
    facts = LearnedFacts(file, clock)
    facts.learn("a", "first", DROP)
    for number in range(MOST_HABITS + 20):
        clock.now += 1
        facts.learn(UPSTREAM, f"m{number}", Habit.REFUSES_USAGE)

    assert len(facts.described_habits()) == MOST_HABITS
    assert not facts.has(UPSTREAM, "m0", Habit.REFUSES_USAGE)
    assert facts.has(UPSTREAM, f"m{MOST_HABITS + 19}", Habit.REFUSES_USAGE)
    for number in range(MOST_REPAIRS):
        clock.now += 1
        facts.learn("a", f"m{number}", DROP)
    assert facts.repairs_of("a", "first") == []
    assert facts.repairs_of("a", f"m{MOST_REPAIRS - 1}") == [DROP]
    assert len(facts.described_repairs()) == MOST_REPAIRS
    assert len(saved(file)) == MOST_HABITS + MOST_REPAIRS
    assert len(LearnedFacts(file, clock).described_repairs()) == MOST_REPAIRS


def test_the_fullest_file_can_be_read_again(file: Path) -> None:
    facts = LearnedFacts(file, Clock())
    for number in range(MOST_REPAIRS):
        facts.learn("a", f"{number:03}" + "\N{PENCIL}" * (MAX_NAME - 3), Repair(max(REPAIRABLE, key=len)))
    for number in range(MOST_HABITS):
        facts.learn("a", f"{number:03}" + "\N{PENCIL}" * (MAX_NAME - 3), Habit.SENDS_FINISH)
    rows = saved(file)

    assert len(rows) == MOST_REPAIRS + MOST_HABITS
    assert len(LearnedFacts(file, Clock()).described_repairs()) == MOST_REPAIRS


@pytest.mark.parametrize("others", [(), (Habit.REFUSES_USAGE,), (Habit.SENDS_FINISH, Habit.TAKES_USAGE)])
def test_repairs_are_forgotten_and_habits_stay(file: Path, others: tuple[Habit, ...]) -> None:
    facts = LearnedFacts(file, Clock())
    for fact in (DROP, RENAME, *others):
        facts.learn(UPSTREAM, "m", fact)
    saved(file)

    assert facts.forget_repairs() == 2

    assert not facts.may_hold_repairs
    assert facts.forget_repairs() == 0
    for each in (facts, LearnedFacts(file, Clock())):
        assert each.repairs_of(UPSTREAM, "m") == []
        assert all(each.has(UPSTREAM, "m", habit) for habit in others)


def test_what_another_process_has_learned_and_forgotten_holds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.upstream.learned.LOOK_EVERY_S", 0.0)
    one, other = LearnedFacts(file, Clock()), LearnedFacts(file, Clock())
    one.learn("a", "m", DROP)
    saved(file)
    other.learn("a", "m", RENAME)
    saved(file)
    assert one.repairs_of("a", "m") == other.repairs_of("a", "m") == [RENAME, DROP]

    assert LearnedFacts(file, Clock()).forget_repairs() == 2
    one.learn("a", "m", Habit.SENDS_FINISH)  # this writes nothing again that was forgotten

    assert ["habit" in each for each in saved(file)] == [True]
    assert one.repairs_of("a", "m") == other.repairs_of("a", "m") == []
    assert other.has("a", "m", Habit.SENDS_FINISH)
