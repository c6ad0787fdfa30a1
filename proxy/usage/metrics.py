"""Count requests since the start, for monitoring; updated by the ledger's writer.

The number of series is bounded, because clients choose the names of models.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from proxy.usage.row import Row, reader

FIRST_BYTE_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)  # upper bounds of the buckets
DURATION_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
MAX_MODELS = 200  # pairs of upstream and model that are told apart
OTHERS = "other"
TOKENS = ("input", "cached", "cache_written", "output", "reasoning")
FAULTS = ("no_done", "error_inside", "silent")

read_counted = reader(
    *("upstream", "model_sent", "model_asked", "outcome", "first_byte_s", "duration_s", "cost_usd", "lost_tokens"),
    *(f"{kind}_tokens" for kind in TOKENS),
    *FAULTS,
)

Model = tuple[str, str]  # upstream and model, "" where there is none


@dataclass
class Histogram:
    """A histogram: the number of values up to each bound, and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, float]]:
        """Return each bound with the cumulative count; the last bound is infinity."""
        names, number, found = [*map(str, self.bounds), "+Inf"], 0, []
        for name, count in zip(names, self.counts, strict=True):
            number += count
            found.append((name, float(number)))
        return found


class Metrics:
    """Count the requests of this run by upstream and model. Any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # held by whoever adds or reads
        self.requests: Counter[tuple[Model, str]] = Counter()  # by model and outcome
        self.tokens: Counter[tuple[Model, str]] = Counter()
        self.faults: Counter[tuple[Model, str]] = Counter()
        self.usd: dict[Model, float] = {}
        self.unpriced: Counter[Model] = Counter()
        self.lost_tokens: Counter[Model] = Counter()
        self.first_byte: dict[Model, Histogram] = {}
        self.duration: dict[Model, Histogram] = {}
        self._models: set[Model] = set()

    def add(self, rows: Iterable[Row]) -> None:
        """Count finished requests."""
        with self.lock:
            for row in rows:
                self._add(row)

    def _add(self, row: Row) -> None:
        upstream, sent, asked, outcome, first_byte_s, duration_s, usd, lost_tokens, *counts = read_counted(row)
        model = self._known((upstream or "", sent or asked or ""))
        self.requests[model, outcome] += 1
        for kind, count in zip(TOKENS, counts, strict=False):
            if count:
                self.tokens[model, kind] += max(0, count)
        for fault, has_it in zip(FAULTS, counts[len(TOKENS) :], strict=True):
            if has_it:
                self.faults[model, fault] += 1
        if usd is not None:
            self.usd[model] = self.usd.get(model, 0.0) + max(0.0, usd)
        elif counts[0] is not None:
            self.unpriced[model] += 1
        if lost_tokens:
            self.lost_tokens[model] += lost_tokens
        if upstream:
            self._add_time(self.first_byte, FIRST_BYTE_S, model, first_byte_s)
            self._add_time(self.duration, DURATION_S, model, duration_s)

    @staticmethod
    def _add_time(found: dict[Model, Histogram], bounds: Sequence[float], model: Model, seconds: float | None) -> None:
        if seconds is not None:
            histogram = found.get(model)
            if histogram is None:
                histogram = found[model] = Histogram(bounds)
            histogram.add(seconds)

    def _known(self, model: Model) -> Model:
        if model not in self._models:
            if len(self._models) >= MAX_MODELS:
                return (OTHERS, OTHERS)
            self._models.add(model)
        return model
