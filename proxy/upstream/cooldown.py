"""Upstreams that fail are left alone for a while, where there is another to ask. Lives on the event loop."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

FIRST_S = 30.0
LONGEST_S = 300.0


@dataclass(frozen=True)
class Rest:
    """One upstream's rest: when it ends on the monotonic clock, how long it is, and what it is for."""

    until: float
    lasts_s: float
    reason: str


class Cooldown:
    """Remember which upstreams rest. The rest doubles with each failure, from 30 s to 5 min; a good answer ends it.

    When it is over one request tries the upstream; until that is answered the others go past it still.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests: dict[str, Rest] = {}
        self._trying: set[str] = set()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener after each beginning and end of a rest but for its time; it must not block."""
        self._listeners.append(listener)

    def is_ready(self, name: str) -> bool:
        """Tell whether an upstream is to be asked; where its rest is over, the one who hears so tries it."""
        rest = self._rests.get(name)
        if rest is None:
            return True
        if self._clock() < rest.until or name in self._trying:
            return False
        self._trying.add(name)
        return True

    def note_failure(self, name: str, reason: str, lasts_s: float | None = None) -> Rest:
        """Take note that an upstream failed; `lasts_s` is how long it asked to be left alone."""
        before = self._rests.get(name)
        doubled_s = FIRST_S if before is None else min(before.lasts_s * 2, LONGEST_S)
        rest_s = min(max(doubled_s, lasts_s or 0.0), LONGEST_S)
        rest = self._rests[name] = Rest(self._clock() + rest_s, rest_s, reason)
        self._trying.discard(name)
        self._tell()
        return rest

    def note_success(self, name: str) -> bool:
        """Take note that an upstream answered well; True where that ended its rest."""
        if not self._rests:  # who is being tried had one
            return False
        self._trying.discard(name)
        if self._rests.pop(name, None) is None:
            return False
        self._tell()
        return True

    def note_undecided(self, name: str) -> None:
        """Take note that a try told nothing of the upstream, as when its client left: another may follow."""
        self._trying.discard(name)

    def resting_s(self, name: str) -> float:
        """Return the seconds an upstream still rests, 0 where it does not. For any thread."""
        rest = self._rests.get(name)
        return max(0.0, rest.until - self._clock()) if rest else 0.0

    def last_failure(self, name: str) -> str:
        """Return what an upstream failed of, "" where it has answered since. For any thread."""
        rest = self._rests.get(name)
        return rest.reason if rest else ""

    def next_end_s(self) -> float | None:
        """Return the seconds to the next end of a rest, None where none is under way. For any thread."""
        ends = [left for name in list(self._rests) if (left := self.resting_s(name))]
        return min(ends, default=None)

    def forget(self, names: Collection[str]) -> None:
        """Forget upstreams that are gone, or are others now."""
        for name in names:
            self._rests.pop(name, None)
            self._trying.discard(name)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
