"""The steps on the way to an upstream, each with its time. Imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step on the way to an upstream."""

    name: str
    ms: float
    problem: str | None = None


@dataclass(frozen=True)
class Probe:
    """How far the way to an upstream goes."""

    steps: tuple[Step, ...]
    models: int | None = None  # how many it lists
    clock_ahead_s: float | None = None  # of this computer's clock before the upstream's; None: it says no time

    @property
    def problem(self) -> str | None:
        """Say what went wrong, None where nothing did."""
        return next((step.problem for step in self.steps if step.problem), None)
