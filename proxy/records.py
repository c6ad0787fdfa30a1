"""Put the records of requests together: the ledger with its sums, and what is held and kept of recent requests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy import paths
from proxy.capture import details
from proxy.capture.cache_miss import missed_of
from proxy.capture.capture import Capture, Limits
from proxy.capture.disk import Kept, Room
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore
from proxy.usage.ledger import Ledger
from proxy.usage.metrics import Metrics
from proxy.usage.spending import Spending


@dataclass(frozen=True)
class Records:
    """The parts, wired."""

    ledger: Ledger
    spending: Spending
    metrics: Metrics
    capture: Capture
    kept: Kept


def records(store: SettingsStore, hide: Callable[[str], str], ledger_file: Path | None = None) -> Records:
    """Wire the parts; what is kept on the disk lies beside a ledger of the caller's."""
    metrics = Metrics()
    spending = Spending(lambda: store.current)
    ledger = Ledger(
        ledger_file or paths.ledger_file(),
        lambda: store.current.proxy_usage_days,
        lambda: store.current.proxy_prices,
        hide,
        spending,
        lambda flow: missed_of(capture, flow, store.current.proxy_prices),
        [metrics.add],
    )
    capture = Capture(lambda: capture_limits(store.in_force.settings))
    spending.listen(lambda notice: capture.feed.say("limits", None) if notice else None)
    store.listen(lambda _, __: capture.settings_changed())
    kept = Kept(
        ledger_file.with_suffix(".kept") if ledger_file else paths.kept_requests_dir(),
        lambda: Room(store.current.proxy_capture_days, store.current.proxy_capture_disk_mb * 1_048_576),
        lambda record: details.whole(record, capture.all(), store.current.proxy_prices),
        hide,
    )
    kept.follow(capture)
    store.listen(lambda _, __: kept.settings_changed())
    return Records(ledger, spending, metrics, capture, kept)


def capture_limits(settings: Settings) -> Limits:
    """Return what may be held of recent requests."""
    return Limits(settings.proxy_capture, settings.proxy_capture_requests, settings.capture_bytes)
