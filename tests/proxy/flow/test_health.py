"""How the upstream is, from what it answered."""

import pytest

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.request import ProxyKeyMissing
from proxy.errors.upstream import (
    ProxyStopped,
    UpstreamDnsFailure,
    UpstreamInvalidResponse,
    UpstreamTimeout,
    UpstreamTlsFailure,
    UpstreamTruncated,
    UpstreamUnexpectedStatus,
)
from proxy.flow.flow import Flow, outcome_of
from proxy.flow.health import HEALTHY, Health, UpstreamHealth
from proxy.http.headers import Headers

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
def upstream(clock: Clock) -> UpstreamHealth:
    return UpstreamHealth(clock, monotonic=clock)


def note(upstream: UpstreamHealth, *statuses: int, own_key: bool = True) -> Health:
    for status in statuses:
        note_answer(upstream, status, is_own_key=own_key)
    return upstream.current


def note_answer(upstream: UpstreamHealth, status: int, *headers: tuple[str, str], is_own_key: bool = True) -> None:
    flow = Flow("POST", "/chat/completions", is_own_key=is_own_key, status=status)
    upstream.answered(flow, Headers(headers))


def end(upstream: UpstreamHealth, failure: ProxyError | None, bytes_down: int = 0) -> Health:
    flow = Flow("POST", "/chat/completions", status=200 if failure is None else failure.status, bytes_down=bytes_down)
    flow.end(outcome_of(flow.status or 0, failure, is_repaired=False), failure, None)
    upstream.ended(flow)
    return upstream.current


def test_it_begins_well(upstream: UpstreamHealth) -> None:
    assert upstream.current == HEALTHY


def test_a_refusal_of_our_key_stands_until_an_good_answer(upstream: UpstreamHealth) -> None:
    assert note(upstream, 401).kind == "key refused"
    assert note(upstream, 400).kind == "key refused"
    assert note(upstream, 200) == HEALTHY


def test_a_refusal_of_the_callers_own_key_says_nothing(upstream: UpstreamHealth) -> None:
    assert note(upstream, 401, own_key=False) == HEALTHY


def test_a_key_that_was_tried_and_accepted_ends_a_refusal_and_nothing_else(upstream: UpstreamHealth) -> None:
    note(upstream, 401)
    upstream.note_accepted_key()
    assert upstream.current == HEALTHY

    note(upstream, 429)
    upstream.note_accepted_key()
    assert upstream.current.kind == "rate limited"


@pytest.mark.parametrize(("said", "seconds"), [("30", 30), ("0.5", 0.5), ("9999", 120), ("soon", 60), (None, 60)])
def test_a_rate_limit_ends_at_its_time(
    upstream: UpstreamHealth, clock: Clock, said: str | None, seconds: float
) -> None:
    note_answer(upstream, 429, *([("retry-after", said)] if said else []))

    assert upstream.current == Health("rate limited", until=NOON + seconds)
    clock.now += seconds
    assert upstream.current == HEALTHY


def test_three_server_errors_in_a_row_are_told(upstream: UpstreamHealth) -> None:
    assert note(upstream, 500, 503, 400, 500, 500) == HEALTHY
    assert note(upstream, 502) == Health("failing", "status 502", failures=3)


def test_no_answer_is_told_and_a_bad_certificate_more_gravely(upstream: UpstreamHealth) -> None:
    assert end(upstream, UpstreamDnsFailure("no such host")).kind == "unreachable"
    assert end(upstream, UpstreamTlsFailure("expired")).kind == "unsafe"


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamTruncated("it ended too early"),
        UpstreamInvalidResponse("it is text/html"),
        UpstreamUnexpectedStatus("302"),
    ],
)
def test_an_answer_that_is_none_or_breaks_off_is_told_until_one_is_whole(
    upstream: UpstreamHealth, failure: ProxyError
) -> None:
    assert end(upstream, failure) == Health("failing", str(failure), failures=1)
    assert note(upstream, 200).kind == "failing"  # the head of an answer that may break off as well
    assert end(upstream, failure).failures == 2

    assert end(upstream, None) == HEALTHY


def test_a_stream_that_falls_silent_is_failing_and_an_upstream_that_never_answers_unreachable(
    upstream: UpstreamHealth,
) -> None:
    assert end(upstream, UpstreamTimeout("silent"), bytes_down=100).kind == "failing"
    assert end(upstream, UpstreamTimeout("silent")).kind == "unreachable"


def test_the_head_of_an_answer_ends_that_the_upstream_is_unreachable(upstream: UpstreamHealth) -> None:
    end(upstream, UpstreamDnsFailure("no such host"))

    assert note(upstream, 200) == HEALTHY


@pytest.mark.parametrize("failure", [ProxyStopped(), ProxyKeyMissing(), ServerFault()])
def test_what_is_not_the_upstreams_doing_says_nothing_of_it(upstream: UpstreamHealth, failure: ProxyError) -> None:
    assert end(upstream, failure) == HEALTHY


def test_listeners_hear_of_changes_alone(upstream: UpstreamHealth) -> None:
    heard: list[str] = []
    upstream.listen(lambda health: heard.append(health.kind))

    note(upstream, 200, 401, 401, 200, 200)

    assert heard == ["key refused", "healthy"]


def test_a_clock_that_is_set_back_prolongs_no_rate_limit() -> None:
    wall, since_start = Clock(), Clock()
    upstream = UpstreamHealth(wall, monotonic=since_start)
    note_answer(upstream, 429, ("retry-after", "30"))
    wall.now -= 3600
    since_start.now += 29
    before = upstream.current
    since_start.now += 1

    assert (before.kind, before.until) == ("rate limited", NOON + 30)
    assert upstream.current == HEALTHY
