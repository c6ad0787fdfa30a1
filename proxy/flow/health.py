"""The observer that knows how the upstream is doing, as far as the last requests tell: what the tray shows."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

from proxy.errors.upstream import UpstreamFailure, UpstreamTlsFailure
from proxy.flow.flow import Flow, Outcome
from proxy.flow.observers import Observer
from proxy.http.headers import Headers

MIN_SERVER_ERRORS = 3  # in a row, before the upstream is called failing: a single one is soon asked again
MAX_WAIT_S = 120.0

Kind = Literal["healthy", "key refused", "out of credit", "rate limited", "failing", "unreachable", "unsafe"]


@dataclass(frozen=True)
class Health:
    """What is the matter, said shortly; `until` is the wall-clock time at which a rate limit ends."""

    kind: Kind = "healthy"
    detail: str = ""
    until: float | None = None
    failures: int = 0  # in a row, the last one included
    upstream: str = field(default="", compare=False)  # whose it is, where that is told


HEALTHY = Health()


class UpstreamHealth(Observer):
    """Take note of each answer and failure. Told on the event loop, read on any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        on_key_refused: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._on_key_refused = on_key_refused  # called at each refusal of the key; must not block
        self._over_at: float | None = None  # when it is over by itself, on the clock that nobody sets
        self._listeners: list[Callable[[Health], None]] = []
        self._server_errors = 0  # in a row
        self._failures = 0  # in a row
        self._current = HEALTHY
        self.is_content = True

    def listen(self, listener: Callable[[Health], None]) -> None:
        """Call the listener after each change, on the thread that found it; it must not block."""
        self._listeners.append(listener)

    @property
    def current(self) -> Health:
        """Return how it is now; a rate limit is over at its time."""
        health, over_at = self._current, self._over_at
        return HEALTHY if over_at is not None and over_at <= self._monotonic() else health

    def answered(self, flow: Flow, headers: Headers) -> None:
        """Take note of an answer's status. A good one mends all but broken answers.

        This one may break off too.
        """
        status = flow.status or 0
        self._server_errors = self._server_errors + 1 if status >= 500 else 0
        if (status == 401 or flow.refused_for == "key") and flow.is_own_key:
            self._become(Health("key refused", flow.upstream_words))
            self._on_key_refused()
        elif flow.refused_for == "credit":
            if flow.is_own_key:
                self._become(Health("out of credit", flow.upstream_words))
        elif status == 429:
            now = self._clock()
            lasts_s = wait_s(headers, now)
            self._become(Health("rate limited", flow.upstream_words, until=now + lasts_s), lasts_s)
        elif self._server_errors >= MIN_SERVER_ERRORS:
            self._become(Health("failing", said_with(status, flow.upstream_words), failures=self._server_errors))
        elif status < 400 and not (self._failures and self._current.kind == "failing"):
            self._become(HEALTHY)
        self._look_at_itself()

    def ended(self, flow: Flow) -> None:
        """Take note of a request that got no answer, or none that is whole; a whole one mends everything."""
        failure = flow.failure
        if flow.outcome in (Outcome.WHOLE, Outcome.REPAIRED):
            self._failures = 0
            if self._current is not HEALTHY:
                self._become(HEALTHY)
        elif isinstance(failure, UpstreamFailure) and flow.outcome not in (Outcome.STOPPED, Outcome.CANCELLED):
            self._failures += 1
            self._become(Health(kind_of(flow, failure), str(failure), failures=self._failures))
        self._look_at_itself()

    def note_accepted_key(self) -> None:
        """Take note that a key was tried and accepted, though no request was made; any thread."""
        if self._current.kind == "key refused":
            self._become(HEALTHY)

    def is_down(self) -> bool:
        """Tell whether it could not be used, for a reason that may go by itself."""
        return self.current.kind in ("failing", "unreachable", "unsafe")

    def note_recovery(self) -> None:
        """Take note that it was asked, beside all requests, and gave a whole answer; on the event loop."""
        if self.is_down():
            self._server_errors = self._failures = 0
            self._become(HEALTHY)

    def _look_at_itself(self) -> None:
        """Ask to be told of what is good as long as that would change something."""
        self.is_content = self._current is HEALTHY and not self._failures and not self._server_errors

    def _become(self, health: Health, lasts_s: float | None = None) -> None:
        self._over_at = None if lasts_s is None else self._monotonic() + lasts_s
        before, self._current = self._current, health
        if before != health:
            for listener in self._listeners:
                listener(health)


def kind_of(flow: Flow, failure: UpstreamFailure) -> Kind:
    """Return what a failure says of the upstream: whether it can be reached at all, and trusted."""
    if isinstance(failure, UpstreamTlsFailure):
        return "unsafe"
    has_answered = flow.outcome in (Outcome.CUT, Outcome.INVALID) or flow.bytes_down > 0
    return "failing" if has_answered else "unreachable"


def said_with(status: int, words: str) -> str:
    """Return a status with what the upstream said."""
    return f"status {status}" + (f", {words}" if words else "")


def wait_s(headers: Headers, now: float) -> float:
    """Return the seconds a rate limit asks for, 0 to 120, a minute where it does not say; `now` is the wall clock's."""
    said = headers.get("retry-after").strip()
    try:
        seconds = float(said) if said[:1].isdigit() else parsedate_to_datetime(said).timestamp() - now
    except (ValueError, TypeError):
        return 60.0
    return max(0.0, min(seconds, MAX_WAIT_S))
