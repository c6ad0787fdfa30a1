"""Waiting for what happens in its own time, with a deadline instead of a sleep."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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


def at_once(function: Callable[..., T], cases: Iterable[tuple[Any, ...]], at_most: int = 3) -> list[T]:
    """Call a function with each of these arguments, some at a time, and return what it returns.

    For calls that wait for the most part, such as for a program; many programs at once take long to start.
    Raises what the first of them raises, once all have ended.
    """
    with ThreadPoolExecutor(at_most) as pool:
        calls = [pool.submit(function, *case) for case in cases]
    return [call.result() for call in calls]
