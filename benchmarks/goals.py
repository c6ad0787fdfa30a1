"""What our proxy is meant to reach, and whether a run reached it. Nothing fails when it did not."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.measures import MEASURES, Figures

Results = dict[str, dict[str, list[Figures]]]  # measure, server, round

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "≥": lambda value, limit: value >= limit,
    "≤": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
    "=": lambda value, limit: value == limit,
}


@dataclass(frozen=True)
class Goal:
    """A figure of ours, alone or held against another server's of the same round, and its limit.

    Of the rounds the median counts, or the worst.
    """

    measure: str
    what: str
    figure: str
    sign: Literal["≥", "≤", "<", "="]
    limit: float
    unit: str = ""
    divided_by: str | None = None  # a server's name
    minus: str | None = None  # a server's name
    scale: float = 1.0
    worst: bool = False

    @property
    def title(self) -> str:
        """The goal in words."""
        return f"{MEASURES[self.measure].title}: {self.what}"

    def value(self, results: Results) -> float | None:
        """Return what was reached; None if a server it needs was not measured, or never answered."""
        servers = results.get(self.measure, {})
        ours = servers.get("ours", [])
        others = servers.get(self.divided_by or self.minus or "ours", [])
        rounds = [
            self._compare(mine[self.figure], other[self.figure]) for mine, other in zip(ours, others, strict=False)
        ]
        reached = [value for value in rounds if value is not None]
        if not reached or len(reached) < len(rounds):
            return None
        return (max(reached) if self.worst else statistics.median(reached)) * self.scale

    def is_reached(self, value: float) -> bool:
        """Say whether the value keeps to the limit."""
        return COMPARE[self.sign](value, self.limit)

    def _compare(self, mine: float | None, other: float | None) -> float | None:
        if mine is None or other is None:
            return None
        if self.divided_by:
            return mine / other if other else None
        return mine - other if self.minus else mine


FROM_US = 0.001
GOALS = [
    Goal("json", "requests/s, of LiteLLM's", "requests_per_s", "≥", 25, "times", divided_by="litellm"),
    Goal("json", "requests/s, of nginx's", "requests_per_s", "≥", 0.25, "times", divided_by="nginx"),
    Goal("json", "failures", "failures", "=", 0, worst=True),
    Goal("json-tls", "requests/s, of nginx's", "requests_per_s", "≥", 0.25, "times", divided_by="nginx"),
    Goal("json-tls", "failures", "failures", "=", 0, worst=True),
    Goal("latency", "median, beyond direct", "median_us", "≤", 0.15, "ms", minus="direct", scale=FROM_US),
    Goal("large", "requests/s, of LiteLLM's", "requests_per_s", "≥", 40, "times", divided_by="litellm"),
    Goal("large", "requests/s, of nginx's", "requests_per_s", "≥", 0.4, "times", divided_by="nginx"),
    Goal("large", "failures", "failures", "=", 0, worst=True),
    Goal("rules", "requests/s, of those without", "of_without", "≥", 0.8, "times"),
    Goal("tools", "requests/s, of those without", "of_without", "≥", 0.7, "times"),
    Goal("streams", "chunks/s, of nginx's", "chunks_per_s", "≥", 0.97, "times", divided_by="nginx"),
    Goal("streams", "p99 chunk delay, of nginx's", "p99_chunk_delay_us", "≤", 4, "times", divided_by="nginx"),
    Goal("streams", "median first byte, of nginx's", "median_first_byte_us", "≤", 3, "times", divided_by="nginx"),
    Goal("streams", "failures", "failures", "=", 0, worst=True),
    Goal("streams", "highest memory", "peak_rss_mb", "≤", 80, "MB", worst=True),
    Goal("streams-tls", "median first byte, of nginx's", "median_first_byte_us", "≤", 4, "times", divided_by="nginx"),
    Goal("streams-tls", "failures", "failures", "=", 0, worst=True),
    Goal("streams-2000", "failures", "failures", "=", 0, worst=True),
    Goal("quiet", "chunk delay, beyond nginx", "median_chunk_delay_us", "≤", 0.3, "ms", minus="nginx", scale=FROM_US),
    Goal("quiet", "first byte, beyond direct", "median_first_byte_us", "≤", 1.5, "ms", minus="direct", scale=FROM_US),
    Goal("leaving", "seen upstream, in a stream", "streamed_ms", "≤", 5, "ms"),
    Goal("leaving", "seen upstream, before the headers", "before_headers_ms", "≤", 5, "ms"),
    Goal("start", "health answered after", "health_after_s", "≤", 0.25, "s"),
    Goal("footprint", "memory after the first chat", "idle_rss_mb", "≤", 70, "MB"),
    Goal("footprint", "idle connections kept open", "connections_open", "=", 1000),
    Goal("footprint", "memory they add", "connections_rss_growth_mb", "≤", 5, "MB"),
    Goal("growth", "memory they add", "rss_growth_mb", "≤", 5, "MB"),
    Goal("growth", "failures", "failures", "=", 0, worst=True),
]
