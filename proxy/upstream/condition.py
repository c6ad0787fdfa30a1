"""How the upstream is doing, as far as the last answers tell: what the tray shows."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from proxy.errors.upstream import UpstreamFailure, UpstreamTlsFailure
from proxy.upstream.messages import Headers

FAILURES_TO_TELL = 3  # server errors in a row
LONGEST_WAIT_S = 120.0

Kind = Literal["well", "key refused", "rate limited", "failing", "unreachable", "unsafe"]


@dataclass(frozen=True)
class Condition:
    """What is the matter, said shortly; `until` is the wall-clock time at which a rate limit ends."""

    kind: Kind = "well"
    detail: str = ""
    until: float | None = None


WELL = Condition()


class UpstreamCondition:
    """Take note of each answer and failure. Noted on the event loop, read on any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        refused: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._over_s: float | None = None  # when it is over by itself, on the clock that nobody sets
        self._refused = refused  # called at each refusal of the key; must not block
        self._listeners: list[Callable[[Condition], None]] = []
        self._server_errors = 0
        self._current = WELL

    def listen(self, listener: Callable[[Condition], None]) -> None:
        """Call the listener after each change, on the thread that found it; it must not block."""
        self._listeners.append(listener)

    @property
    def current(self) -> Condition:
        """Return how it is now; a rate limit is over at its time."""
        condition, over_s = self._current, self._over_s
        return WELL if over_s is not None and over_s <= self._monotonic() else condition

    def note_answer(self, status: int, headers: Headers, *, own_key: bool) -> None:
        """Take note of an answer; `own_key`: it was asked for with the key this proxy holds."""
        self._server_errors = self._server_errors + 1 if status >= 500 else 0
        if status == 401 and own_key:
            self._become(Condition("key refused"))
            self._refused()
        elif status == 429:
            now = self._clock()
            lasts_s = wait_s(headers, now)
            self._become(Condition("rate limited", until=now + lasts_s), lasts_s)
        elif self._server_errors >= FAILURES_TO_TELL:
            self._become(Condition("failing", f"status {status}"))
        elif status < 400:
            self._become(WELL)

    def note_accepted_key(self) -> None:
        """Take note that a key was tried and accepted, though no request was made; any thread."""
        if self._current.kind == "key refused":
            self._become(WELL)

    def note_failure(self, failure: UpstreamFailure) -> None:
        """Take note of a request that got no answer."""
        self._become(Condition("unsafe" if isinstance(failure, UpstreamTlsFailure) else "unreachable", str(failure)))

    def _become(self, condition: Condition, lasts_s: float | None = None) -> None:
        self._over_s = None if lasts_s is None else self._monotonic() + lasts_s
        before, self._current = self._current, condition
        if before != condition:
            for listener in self._listeners:
                listener(condition)


def wait_s(headers: Headers, now: float) -> float:
    """Return the seconds a rate limit asks for, 0 to 120, a minute where it does not say; `now` is the wall clock's."""
    said = next((value.strip() for name, value in headers if name == "retry-after"), "")
    try:
        seconds = float(said) if said[:1].isdigit() else parsedate_to_datetime(said).timestamp() - now
    except (ValueError, TypeError):
        return 60.0
    return max(0.0, min(seconds, LONGEST_WAIT_S))
