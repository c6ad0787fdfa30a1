"""What was learnt of an upstream: forgotten after a day, and never more than was learnt."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.upstream.habits import CONTRARY, DAY_S, MAX_FACTS, MAX_NAME, TOLD, Habit, Habits
from waiting import wait_for

UPSTREAM = "https://api.example.com/v1"
NOW = 1_800_000_000.0


class Clock:
    """A clock that the test sets."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "upstreams.json"


def saved(file: Path) -> list[object]:
    """Return what stands in the file once nobody writes any more."""
    wait_for(lambda: "habits" not in {thread.name for thread in threading.enumerate()}, "the end of the writing")
    rows: list[object] = json.loads(file.read_bytes())
    return rows


@pytest.mark.parametrize("habit", Habit)
@pytest.mark.parametrize(
    ("later_s", "is_known"),
    [(0.0, True), (DAY_S - 1, True), (DAY_S, False), (400 * DAY_S, False), (-1.0, False), (-400 * DAY_S, False)],
)
def test_a_habit_is_forgotten_after_a_day_and_where_the_clock_was_set_back(
    file: Path, habit: Habit, later_s: float, is_known: bool
) -> None:
    clock = Clock()
    habits = Habits(file, clock)
    habits.learn(UPSTREAM, "m", habit)
    saved(file)

    clock.now = NOW + later_s

    assert habits.has(UPSTREAM, "m", habit) == is_known
    assert Habits(file, clock).has(UPSTREAM, "m", habit) == is_known  # after a restart too
    assert bool(habits.described()) == (is_known and habit in TOLD)
    assert not habits.has(UPSTREAM, "another", habit)
    assert not habits.has("https://other.example.com/v1", "m", habit)


@pytest.mark.parametrize("habit", Habit)
def test_what_is_seen_again_holds_for_another_day_and_the_contrary_ends_it(file: Path, habit: Habit) -> None:
    clock = Clock()
    habits = Habits(file, clock)
    habits.learn(UPSTREAM, "m", habit)
    clock.now += DAY_S - 1
    habits.learn(UPSTREAM, "m", habit)
    clock.now += DAY_S - 1

    assert habits.has(UPSTREAM, "m", habit)
    habits.learn(UPSTREAM, "m", CONTRARY[habit])
    assert not habits.has(UPSTREAM, "m", habit)
    saved(file)


@pytest.mark.parametrize("habit", Habit)
def test_an_upstream_that_was_judged_a_day_ago_is_judged_anew(file: Path, habit: Habit) -> None:
    clock = Clock()
    habits = Habits(file, clock)
    habits.learn(UPSTREAM, "m", habit)
    clock.now += 2 * DAY_S

    assert not any(habits.has(UPSTREAM, "m", each) for each in Habit)
    habits.learn(UPSTREAM, "m", habit)
    assert habits.has(UPSTREAM, "m", habit)
    saved(file)


FACT = [UPSTREAM, "m", Habit.REFUSES_USAGE.value, NOW]
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "broken off": json.dumps([FACT]).encode()[:-4],
    "no list": json.dumps({"a": FACT}).encode(),
    "a row too short": json.dumps([FACT[:3]]).encode(),
    "another habit": json.dumps([[UPSTREAM, "m", "is free of charge", NOW]]).encode(),
    "a number as a name": json.dumps([[1, 2, 3, 4]]).encode(),
    "a time that is text": json.dumps([[UPSTREAM, "m", FACT[2], "now"]]).encode(),
    "a time that is none": b'[["%b", "m", "%b", NaN]]' % (UPSTREAM.encode(), str(FACT[2]).encode()),
    "no end of time": b'[["%b", "m", "%b", Infinity]]' % (UPSTREAM.encode(), str(FACT[2]).encode()),
    "not UTF-8": b"\xff\xfe\x00[",
    "UTF-16 of another program": json.dumps([FACT[:2]]).encode("utf-16"),
    "nested": b"[" * 100_000,
    "too long": b" " * 300_000 + json.dumps([FACT]).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_teaches_nothing_and_is_written_anew(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    habits = Habits(file, Clock())

    assert not any(habits.has(UPSTREAM, "m", each) for each in Habit)
    assert habits.described() == []
    habits.learn(UPSTREAM, "m", Habit.SENDS_FINISH)

    assert [UPSTREAM, "m", Habit.SENDS_FINISH.value, NOW] in saved(file)


@pytest.mark.parametrize("spoil", [Path.mkdir, lambda path: path.symlink_to(path.with_name("nowhere") / "deep")])
def test_what_stands_in_the_files_place_costs_the_memory_of_it_alone(
    file: Path, spoil: Callable[[Path], object]
) -> None:
    file.parent.mkdir(parents=True)
    spoil(file)
    habits = Habits(file, Clock())

    habits.learn(UPSTREAM, "m", Habit.NEVER_FINISHES)

    assert habits.has(UPSTREAM, "m", Habit.NEVER_FINISHES)
    wait_for(lambda: "habits" not in {thread.name for thread in threading.enumerate()}, "the end of the writing")


@pytest.mark.parametrize("name", ["x" * (MAX_NAME + 1), "é" * 1_000, "m" * 1_000_000])
def test_a_name_that_a_caller_made_long_is_not_kept(file: Path, name: str) -> None:
    habits = Habits(file, Clock())
    habits.learn(UPSTREAM, name, Habit.REFUSES_USAGE)
    habits.learn(name, "m", Habit.REFUSES_USAGE)

    assert habits.described() == []


def test_however_many_models_a_caller_names_the_last_ones_are_kept(file: Path) -> None:
    habits = Habits(file, Clock())
    for number in range(MAX_FACTS + 20):
        habits.learn(UPSTREAM, f"m{number}", Habit.REFUSES_USAGE)

    assert len(habits.described()) == MAX_FACTS
    assert not habits.has(UPSTREAM, "m0", Habit.REFUSES_USAGE)
    assert habits.has(UPSTREAM, f"m{MAX_FACTS + 19}", Habit.REFUSES_USAGE)
    assert len(saved(file)) <= MAX_FACTS
