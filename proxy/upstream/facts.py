"""What can be learned about an upstream, one value a fact: how it treats streams, and which parameters it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from proxy.policy.refused_parameters import Repair

DAY_S = 86_400.0
MAX_NAME = 200  # characters; what has a longer name is not remembered: callers choose the names of models


class Habit(Enum):
    """What an upstream does with streams; the values stand in the file."""

    TAKES_USAGE = "takes stream_options"
    REFUSES_USAGE = "refuses stream_options"
    SENDS_FINISH = "sends a finish_reason"
    NEVER_FINISHES = "sends no finish_reason"


# What a habit is about: of two habits about one thing the one that was seen last is true.
ABOUT = {
    Habit.TAKES_USAGE: "usage",
    Habit.REFUSES_USAGE: "usage",
    Habit.SENDS_FINISH: "finish",
    Habit.NEVER_FINISHES: "finish",
}
TOLD = {
    Habit.REFUSES_USAGE: "refuses stream_options, so it is not asked for usage",
    Habit.NEVER_FINISHES: "sends no finish_reason, so its [DONE] alone ends an answer",
}

Fact = Habit | Repair
Place = tuple[str, str, str]  # upstream, model, and what the fact is about


class Keeping(NamedTuple):
    """How long one kind of facts is held, and how many of them."""

    kept_s: float
    most: int


KEEPING: Mapping[type[Fact], Keeping] = {Habit: Keeping(DAY_S, 256), Repair: Keeping(30 * DAY_S, 500)}


@dataclass(frozen=True)
class Learned:
    """One fact about one model of one upstream."""

    upstream: str  # its name for a repair; for a habit its base URL, or the address of one of its endpoints
    model: str
    fact: Fact
    at: float  # the wall clock's time in seconds: a day passes in sleep too

    @property
    def place(self) -> Place:
        """Return what another fact that stands here would take the place of."""
        return (
            self.upstream,
            self.model,
            ABOUT[self.fact] if isinstance(self.fact, Habit) else self.fact.parameter,
        )

    def is_held(self, now: float) -> bool:
        """Tell whether it is still to be believed; not where the clock was set back before it."""
        return 0 <= now - self.at < KEEPING[type(self.fact)].kept_s

    def __str__(self) -> str:
        if isinstance(self.fact, Habit):
            return f"{self.upstream}, model {self.model or 'not named'}: {TOLD.get(self.fact, self.fact.value)}"
        return f"{self.fact} for {self.model or 'requests without a model'} at {self.upstream}"
