"""Serve `/metrics`: counters of this run for Prometheus, with the same access rules as `/v1`."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint

from proxy.exchange.request import RequestBody
from proxy.http.headers import Headers
from proxy.usage.metrics import Metrics, Model
from proxy.usage.spending import Standing
from proxy.web.exchange_response import ExchangeResponse

PREFIX = "openai_tray_proxy"
BY_MODEL = ("upstream", "model")


@dataclass(frozen=True)
class Watched:
    """The sources of the metrics."""

    metrics: Metrics
    settle: Callable[[], None]  # counts what has just ended; not on the event loop
    running: Callable[[], int]  # requests
    down: Callable[[], Sequence[str]]  # upstreams that could not be used
    held_bytes: Callable[[], int]  # of recent requests
    standings: Callable[[], Sequence[Standing]]
    hide: Callable[[str], str]  # takes the keys out of a text


def blueprint(watched: Watched) -> Blueprint:
    """Return the routes."""
    metrics = Blueprint("metrics", __name__)

    @metrics.get("/metrics")
    def scrape() -> ExchangeResponse:
        return ExchangeResponse(Scrape(lambda: exposition(watched)))

    return metrics


@dataclass(frozen=True)
class Scrape:
    """Answer one scrape; the text is made on a worker thread."""

    text: Callable[[], tuple[bytes, str]]

    def is_current(self) -> bool:
        """Return False: each request is decided again."""
        return False

    async def perform(self, body: RequestBody, client: Any) -> None:  # noqa: ARG002  an exchange's signature
        """Answer."""
        text, kind = await asyncio.to_thread(self.text)
        await client.whole(200, Headers([("content-type", kind), ("content-length", str(len(text)))]), text)


def exposition(watched: Watched) -> tuple[bytes, str]:
    """Return the text and its content type; requests that have just ended are counted first."""
    import prometheus_client  # noqa: PLC0415  costs memory, and few ask

    watched.settle()
    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(Collector(watched))
    return prometheus_client.generate_latest(registry), prometheus_client.CONTENT_TYPE_LATEST


class Collector:
    """A collector for the library's registry."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        watched = self._watched
        with watched.metrics.lock:
            yield from by_model(watched.metrics)
        yield gauge("requests_running", "Requests that run now", watched.running())
        yield gauge("upstreams_down", "Upstreams that the last requests could not use", len(watched.down()))
        yield gauge("capture_held_bytes", "Bytes of recent requests held in memory", watched.held_bytes())
        yield limits(watched)


def by_model(metrics: Metrics) -> Iterator[Any]:
    """Yield the metrics by upstream and model."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily  # noqa: PLC0415  as above

    tables: tuple[tuple[str, str, str, Any], ...] = (
        ("requests", "Requests that have ended", "outcome", metrics.requests),
        ("tokens", "Tokens, of unfinished answers estimated", "kind", metrics.tokens),
        ("upstream_faults", "Answers of upstreams with a fault", "fault", metrics.faults),
        ("cost_usd", "Cost of requests whose price is known", "", metrics.usd),
        ("unpriced_requests", "Requests with tokens whose price is unknown", "", metrics.unpriced),
        ("cache_missed_tokens", "Tokens that the cache of an upstream could have served", "", metrics.lost_tokens),
    )
    for name, meaning, label, sums in tables:
        labels = (*BY_MODEL, label) if label else BY_MODEL
        family = CounterMetricFamily(f"{PREFIX}_{name}", meaning, labels=labels)
        for key, value in sums.items():
            family.add_metric([*key[0], key[1]] if label else list(key), value)
        yield family
    for name, meaning, histograms in (
        ("first_byte_seconds", "Time until the first byte of an answer", metrics.first_byte),
        ("duration_seconds", "Time until the end of a request", metrics.duration),
    ):
        histogram = HistogramMetricFamily(f"{PREFIX}_{name}", meaning, labels=BY_MODEL)
        for model, counted in histograms.items():
            add_histogram(histogram, model, counted.cumulated(), counted.total)
        yield histogram


def add_histogram(family: Any, model: Model, buckets: list[tuple[str, float]], total: float) -> None:
    """Add one model's buckets."""
    family.add_metric(list(model), buckets, sum_value=total)


def gauge(name: str, meaning: str, value: float) -> Any:
    """Return a gauge with a single value."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  as above

    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value=float(value))


def limits(watched: Watched) -> Any:
    """Return the used share of each limit, from 0."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  as above

    family = GaugeMetricFamily(
        f"{PREFIX}_limit_used_ratio", "Share of a limit that is used", labels=["key", "period", "unit"]
    )
    for standing in watched.standings():
        limit = standing.limit
        share = standing.used / limit.amount if limit.amount else 1.0
        family.add_metric([watched.hide(limit.key or ""), limit.period, limit.unit], share)
    return family
