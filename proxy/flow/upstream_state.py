"""How one upstream is doing, in one word and in one line: for tray, pages, doctor and terminal. Pure functions."""

from dataclasses import dataclass
from datetime import datetime

from proxy.flow.health import Health

HEALTHY = "healthy"
NO_KEY = "no key"
COOLING_DOWN = "cooling down"
MAX_WORDS = 300  # characters of what an upstream said, or of why it cannot be asked and which setting is to blame


@dataclass(frozen=True)
class UpstreamState:
    """What the matter is, the words of it, and the wall-clock time at which it is over by itself, if that is known."""

    kind: str = HEALTHY
    detail: str = ""
    until: float | None = None

    @property
    def is_good(self) -> bool:
        """Tell whether it can be used."""
        return self.kind == HEALTHY

    def __str__(self) -> str:
        """Return the one line."""
        until = f" until {datetime.fromtimestamp(self.until).astimezone():%H:%M:%S}" if self.until is not None else ""
        return f"{self.kind}{until}" + (f": {self.detail}" if self.detail else "")


def state_of(health: Health, rests_until: float | None, why: str, *, lacks_key: bool) -> UpstreamState:
    """Return an upstream's state.

    `rests_until` is the wall clock's time at which its cooldown ends; `why` is what it last failed of in a chain, ""
    where it has answered since.
    """
    if lacks_key:
        return UpstreamState(NO_KEY)
    if rests_until is not None:
        return UpstreamState(COOLING_DOWN, cut(why), rests_until)
    if health.kind != HEALTHY:
        return UpstreamState(health.kind, cut(health.detail), health.until)
    return UpstreamState("failing", cut(why)) if why else UpstreamState()


def cut(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_WORDS else f"{line[: MAX_WORDS - 1]}…"
