"""Refresh the tray after events other than clicks: requests, usage, health, key, settings, capture."""

import time
from collections.abc import Callable

from proxy.services import Services
from proxy.usage.limits import period_at
from tray_app.activity import Activity
from tray_app.keyring_retry import KeyringRetry
from tray_app.schedule import Schedule

RATE_LIMIT_MARGIN_S = 0.1  # the tray looks when a limit is surely over
USED_EVERY_S = 2.0  # how often the tray shows anew what was used, at most


class Triggers:
    """Call `changed` after each such change, on the thread that found it; it must not block."""

    def __init__(self, services: Services, schedule: Schedule, changed: Callable[[], None]) -> None:
        self._services = services
        self._schedule = schedule
        self._changed = changed
        self._activity = Activity(services.observers, schedule, changed)
        self._keyring_retry = KeyringRetry(services.secrets, services.keys, schedule)
        self._unsubscribe: Callable[[], None] = lambda: None
        self._will_show_used = False

    @property
    def is_working(self) -> bool:
        """Whether a request has been under way for a while; any thread."""
        return self._activity.is_working

    def start(self) -> None:
        """Subscribe to all of them."""
        self._unsubscribe = self._activity.start()
        self._services.health.listen(lambda _: self._upstreams_changed())
        self._services.router.cooldown.listen(self._upstreams_changed)
        self._services.secrets.listen(self._key_changed)
        self._services.store.observe(self._changed)
        self._services.spending.listen(lambda _: self._used())
        self._services.capture.listen(self._changed)

    def stop(self) -> None:
        """End the thread of the subscription to requests."""
        self._unsubscribe()

    def _key_changed(self) -> None:
        self._keyring_retry.follow()
        self._changed()

    def _used(self) -> None:
        """Schedule an update of the usage; called after each batch of requests."""
        if not self._will_show_used:
            self._will_show_used = True
            self._schedule.after(USED_EVERY_S, self._show_used)

    def _show_used(self) -> None:
        """Update the usage, and schedule the next update for the end of the day."""
        self._will_show_used = False
        now = time.time()
        self._schedule.after(period_at("day", now).ends - now + 1, self._show_used)
        self._changed()

    def _upstreams_changed(self) -> None:
        """Update now, and again when a rate limit or cooldown ends."""
        self._changed()
        if (after_s := self._services.next_change_s()) is not None:
            self._schedule.after(after_s + RATE_LIMIT_MARGIN_S, self._upstreams_changed)
