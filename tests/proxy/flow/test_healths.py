"""How each of several upstreams is, from what each answered, and in which words it is told."""

from datetime import datetime

import pytest

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamTimeout, UpstreamTlsFailure, UpstreamUnreachable
from proxy.flow.flow import Flow, outcome_of
from proxy.flow.health import HEALTHY, Health
from proxy.flow.healths import Healths
from proxy.flow.upstream_state import UpstreamState, state_of
from proxy.http.headers import Headers

NOON = datetime(2026, 3, 1, 12, 5, 30).astimezone().timestamp()


@pytest.fixture
def healths() -> Healths:
    return Healths(lambda: "openai")


def note(healths: Healths, name: str, *statuses: int, words: str = "") -> None:
    for status in statuses:
        flow = Flow("POST", "/chat/completions", status=status, upstream_name=name, upstream_words=words)
        healths.answered(flow, Headers())


def fail(healths: Healths, name: str, failure: ProxyError) -> None:
    flow = Flow("POST", "/chat/completions", status=failure.status, upstream_name=name)
    flow.end(outcome_of(failure.status, failure, is_repaired=False), failure, None)
    healths.ended(flow)


@pytest.mark.parametrize(
    ("statuses", "kind"), [((401,), "key refused"), ((429,), "rate limited"), ((503, 500, 502), "failing")]
)
def test_each_has_a_health_of_its_own(healths: Healths, statuses: tuple[int, ...], kind: str) -> None:
    note(healths, "groq", *statuses, words="so says groq")
    note(healths, "local", 200)

    assert healths.of("groq").current.kind == kind
    assert "so says groq" in healths.of("groq").current.detail
    assert (healths.of("local").current, healths.current) == (HEALTHY, HEALTHY)
    note(healths, "groq", 200)
    assert healths.of("groq").current == HEALTHY


@pytest.mark.parametrize("failure", [UpstreamUnreachable("no route"), UpstreamTimeout("5 s"), UpstreamTlsFailure("x")])
def test_a_good_answer_of_one_mends_no_other(healths: Healths, failure: ProxyError) -> None:
    fail(healths, "groq", failure)
    note(healths, "openai", 200)

    assert healths.of("groq").current.kind in ("unreachable", "unsafe")
    assert healths.down() == ["groq"]
    note(healths, "groq", 200)
    assert healths.down() == []


def test_listeners_hear_of_all_and_whose_it_is(healths: Healths) -> None:
    told: list[Health] = []
    healths.listen(told.append)
    note(healths, "groq", 401)
    note(healths, "openai", 401)

    assert [(each.upstream, each.kind, healths.is_of_chosen(each)) for each in told] == [
        ("groq", "key refused", False),
        ("openai", "key refused", True),
    ]


def test_one_that_is_another_now_begins_anew(healths: Healths) -> None:
    note(healths, "groq", 401)
    told: list[Health] = []
    healths.listen(told.append)
    healths.forget({"groq", "nobody"})

    assert healths.of("groq").current == HEALTHY
    assert [(each.upstream, each.kind) for each in told] == [("groq", "healthy")]


@pytest.mark.parametrize(
    ("health", "rests_until", "why", "lacks_key", "said"),
    [
        (Health(), None, "", False, "healthy"),
        (Health(), None, "", True, "no key"),
        (Health(), NOON, "status 503, overloaded", False, "cooling down until 12:05:30: status 503, overloaded"),
        (Health("failing", "status 500"), NOON, "status 503", False, "cooling down until 12:05:30: status 503"),
        (Health(), None, "status 503", False, "failing: status 503"),
        (Health("failing", "status 500, so\nit is"), None, "", False, "failing: status 500, so it is"),
        (Health("rate limited", until=NOON), None, "", False, "rate limited until 12:05:30"),
        (Health("unreachable", "x" * 500), None, "", False, f"unreachable: {'x' * 299}…"),
        (Health("key refused"), None, "", True, "no key"),
    ],
)
def test_a_state_is_told_in_one_line(
    health: Health, rests_until: float | None, why: str, lacks_key: bool, said: str
) -> None:
    assert str(state_of(health, rests_until, why, lacks_key=lacks_key)) == said


def test_only_a_healthy_one_is_good() -> None:
    kinds = ["healthy", "no key", "cooling down", "failing"]
    assert [UpstreamState(kind).is_good for kind in kinds] == [True, False, False, False]
