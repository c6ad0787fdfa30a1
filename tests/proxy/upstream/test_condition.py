"""How the upstream is, from what it answered."""

import pytest

from proxy.errors.upstream import UpstreamDnsFailure, UpstreamTlsFailure
from proxy.upstream.condition import WELL, Condition, UpstreamCondition

NOON = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(clock: Clock) -> UpstreamCondition:
    return UpstreamCondition(clock, monotonic=clock)


def note(upstream: UpstreamCondition, *statuses: int, own_key: bool = True) -> Condition:
    for status in statuses:
        upstream.note_answer(status, [], own_key=own_key)
    return upstream.current


def test_it_begins_well(upstream: UpstreamCondition) -> None:
    assert upstream.current == WELL


def test_a_refusal_of_our_key_stands_until_an_answer_that_is_well(upstream: UpstreamCondition) -> None:
    assert note(upstream, 401).kind == "key refused"
    assert note(upstream, 400).kind == "key refused"
    assert note(upstream, 200) == WELL


def test_a_refusal_of_the_callers_own_key_says_nothing(upstream: UpstreamCondition) -> None:
    assert note(upstream, 401, own_key=False) == WELL


def test_a_key_that_was_tried_and_accepted_ends_a_refusal_and_nothing_else(upstream: UpstreamCondition) -> None:
    note(upstream, 401)
    upstream.note_accepted_key()
    assert upstream.current == WELL

    note(upstream, 429)
    upstream.note_accepted_key()
    assert upstream.current.kind == "rate limited"


@pytest.mark.parametrize(("said", "seconds"), [("30", 30), ("0.5", 0.5), ("9999", 120), ("soon", 60), (None, 60)])
def test_a_rate_limit_ends_at_its_time(
    upstream: UpstreamCondition, clock: Clock, said: str | None, seconds: float
) -> None:
    upstream.note_answer(429, [("retry-after", said)] if said else [], own_key=True)

    assert upstream.current == Condition("rate limited", until=NOON + seconds)
    clock.now += seconds
    assert upstream.current == WELL


def test_three_server_errors_in_a_row_are_told(upstream: UpstreamCondition) -> None:
    assert note(upstream, 500, 503, 400, 500, 500) == WELL
    assert note(upstream, 502) == Condition("failing", "status 502")


def test_no_answer_is_told_and_a_bad_certificate_more_gravely(upstream: UpstreamCondition) -> None:
    upstream.note_failure(UpstreamDnsFailure("no such host"))
    assert upstream.current.kind == "unreachable"
    upstream.note_failure(UpstreamTlsFailure("expired"))
    assert upstream.current.kind == "unsafe"


def test_listeners_hear_of_changes_alone(upstream: UpstreamCondition) -> None:
    heard: list[str] = []
    upstream.listen(lambda condition: heard.append(condition.kind))

    note(upstream, 200, 401, 401, 200, 200)

    assert heard == ["key refused", "well"]


def test_a_clock_that_is_set_back_prolongs_no_rate_limit() -> None:
    wall, since_start = Clock(), Clock()
    upstream = UpstreamCondition(wall, monotonic=since_start)
    upstream.note_answer(429, [("retry-after", "30")], own_key=True)
    wall.now -= 3600
    since_start.now += 29
    before = upstream.current
    since_start.now += 1

    assert (before.kind, before.until) == ("rate limited", NOON + 30)
    assert upstream.current == WELL
