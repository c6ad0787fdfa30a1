"""How often a process that ends by itself is started again: at once as a rule, with growing pauses where it goes on."""

import time
from collections import deque
from collections.abc import Callable

FREE = 10  # so many ends within WITHIN_S have no pause
WITHIN_S = 60.0
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
MOST_DOUBLED = 5


class Restarts:
    """Remember when the process ended. Lives on one loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends: deque[float] = deque(maxlen=FREE + MOST_DOUBLED + 1)

    def note(self) -> None:
        """Take note of an end."""
        self._ends.append(self._now())

    def pause_s(self) -> float:
        """Return how many seconds are left before it may be started again, 0 for none."""
        now = self._now()
        too_many = sum(end > now - WITHIN_S for end in self._ends) - FREE
        if too_many <= 0:
            return 0
        pause: float = min(SHORTEST_PAUSE_S * 2 ** (too_many - 1), LONGEST_PAUSE_S)
        return max(self._ends[-1] + pause - now, 0)
