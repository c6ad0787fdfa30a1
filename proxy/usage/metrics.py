"""Sums of the requests since the start, for programs that watch others; added to by the ledger's writer.

How many sums there are is bounded: clients choose the names of models.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FIRST_BYTE_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)  # upper bounds of the buckets
DURATION_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
MAX_MODELS = 200  # pairs of upstream and model that are told apart
OTHERS = "other"
TOKENS = ("input", "cached", "cache_written", "output", "reasoning")
FAULTS = ("no_done", "error_inside", "silent")

Model = tuple[str, str]  # upstream and model, "" where there is none


@dataclass
class Histogram:
    """How many values lie at or below each bound, and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[next((at for at, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, float]]:
        """Return each bound with the number of values up to it, the last one infinite."""
        names, number, found = [*map(str, self.bounds), "+Inf"], 0, []
        for name, count in zip(names, self.counts, strict=True):
            number += count
            found.append((name, float(number)))
        return found


class Metrics:
    """Add up the requests of this run by upstream and model. Any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # held by whoever adds or reads
        self.requests: Counter[tuple[Model, str]] = Counter()  # by model and outcome
        self.tokens: Counter[tuple[Model, str]] = Counter()
        self.faults: Counter[tuple[Model, str]] = Counter()
        self.usd: Counter[Model] = Counter()
        self.unpriced: Counter[Model] = Counter()
        self.lost_tokens: Counter[Model] = Counter()
        self.first_byte: dict[Model, Histogram] = {}
        self.duration: dict[Model, Histogram] = {}
        self._models: set[Model] = set()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count requests that have ended."""
        with self.lock:
            for row in rows:
                self._add(row)

    def _add(self, row: Mapping[str, Any]) -> None:
        model = self._known((row["upstream"] or "", row["model_sent"] or row["model_asked"] or ""))
        self.requests[model, row["outcome"]] += 1
        for kind in TOKENS:
            if row[f"{kind}_tokens"]:
                self.tokens[model, kind] += max(0, row[f"{kind}_tokens"])
        for fault in FAULTS:
            if row[fault]:
                self.faults[model, fault] += 1
        if row["cost_usd"] is not None:
            self.usd[model] += max(0.0, row["cost_usd"])
        elif row["input_tokens"] is not None:
            self.unpriced[model] += 1
        self.lost_tokens[model] += row["lost_tokens"] or 0
        for histograms, bounds, seconds in (
            (self.first_byte, FIRST_BYTE_S, row["first_byte_s"]),
            (self.duration, DURATION_S, row["duration_s"]),
        ):
            if seconds is not None and row["upstream"]:
                histograms.setdefault(model, Histogram(bounds)).add(seconds)

    def _known(self, model: Model) -> Model:
        if model not in self._models:
            if len(self._models) >= MAX_MODELS:
                return (OTHERS, OTHERS)
            self._models.add(model)
        return model
