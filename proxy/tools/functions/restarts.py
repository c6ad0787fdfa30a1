"""How soon a process that ended by itself is started again: at once, with growing pauses where none answers a call."""

import time
from collections.abc import Callable

FREE = 5  # so many in a row have no pause
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
MOST_DOUBLED = 5


class Restarts:
    """Count the ends in a row. Lives on one loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._in_a_row = 0
        self._last = 0.0

    def note(self, *, has_answered: bool) -> None:
        """Take note of an end, and whether that process had answered a call."""
        self._in_a_row = 1 if has_answered else self._in_a_row + 1
        self._last = self._now()

    def pause_s(self) -> float:
        """Return how many seconds are left before it may be started again, 0 for none."""
        too_many = self._in_a_row - FREE
        if too_many <= 0:
            return 0.0
        pause: float = min(SHORTEST_PAUSE_S * 2 ** min(too_many - 1, MOST_DOUBLED), LONGEST_PAUSE_S)
        return max(self._last + pause - self._now(), 0.0)
