"""Waiting for what happens in its own time, with a deadline instead of a sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 10.0
EVERY_S = 0.01


def wait_for(look: Callable[[], T], what: str, limit_s: float = LIMIT_S) -> T:
    """Return the first true value of `look`; fails the test with `what` when there is none in time."""
    deadline = time.monotonic() + limit_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(EVERY_S)
    return value


def settled(count: Callable[[], int], still_s: float = 0.4, limit_s: float = LIMIT_S) -> int:
    """Return a count once it has stayed the same for a while."""
    deadline, seen, since = time.monotonic() + limit_s, count(), time.monotonic()
    while time.monotonic() - since < still_s:
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: a count that stays the same"
        time.sleep(EVERY_S)
        if (now := count()) != seen:
            seen, since = now, time.monotonic()
    return seen
