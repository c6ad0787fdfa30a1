"""How long a failing upstream is left alone."""

from proxy.upstream.cooldown import Cooldown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rest_doubles_from_half_a_minute_to_five() -> None:
    clock = Clock()
    cooldown = Cooldown(clock)
    lengths = []
    for _ in range(6):
        lengths.append(cooldown.note_failure("a", "down").lasts_s)
        clock.now += 1000
    assert lengths == [30, 60, 120, 240, 300, 300]


def test_one_request_tries_when_the_rest_is_over() -> None:
    clock = Clock()
    cooldown = Cooldown(clock)
    cooldown.note_failure("a", "down")
    assert not cooldown.is_ready("a")
    clock.now = 30
    assert [cooldown.is_ready("a"), cooldown.is_ready("a"), cooldown.is_ready("b")] == [True, False, True]
    cooldown.note_undecided("a")
    assert cooldown.is_ready("a")
    cooldown.note_failure("a", "down")
    clock.now = 89
    assert not cooldown.is_ready("a")


def test_a_good_answer_ends_it() -> None:
    cooldown = Cooldown(Clock())
    cooldown.note_failure("a", "down")
    assert cooldown.resting_s("a") == 30
    assert cooldown.note_success("a")
    assert not cooldown.note_success("a")
    assert cooldown.is_ready("a")
    assert cooldown.note_failure("a", "down").lasts_s == 30


def test_its_own_wait_counts_up_to_five_minutes() -> None:
    cooldown = Cooldown(Clock())
    assert cooldown.note_failure("a", "limited", 90).lasts_s == 90
    assert cooldown.note_failure("b", "limited", 9000).lasts_s == 300


def test_upstreams_that_are_gone_are_forgotten() -> None:
    cooldown = Cooldown(Clock())
    cooldown.note_failure("a", "down")
    cooldown.note_failure("b", "down")
    cooldown.forget({"a"})
    assert cooldown.is_ready("a")
    assert not cooldown.is_ready("b")
