"""What changes by itself: the work in hand, what the keyring had to say, the end of a rate limit."""

import threading
from collections.abc import Callable

from proxy.flow.health import Health
from proxy.keys.upstream_key import KeyState
from proxy.services import Services
from tray_app.keyring_retry import KeyringRetry

EVERY_S = 0.5  # a request shows in the icon once it has been under way this long: calm, no flicker

Seen = tuple[bool, KeyState, bool, Health]


class Pulse:
    """Call `changed` in the thread `tray-pulse` whenever one of these is no longer as it was."""

    def __init__(self, services: Services, changed: Callable[[], None]) -> None:
        self._services = services
        self._changed = changed
        self._ended = threading.Event()
        self.is_working = False  # as of the last beat

    def start(self) -> None:
        """Begin with how things are now."""
        threading.Thread(target=self._run, args=(self._look(),), name="tray-pulse", daemon=True).start()

    def stop(self) -> None:
        """End the thread, soon; any thread."""
        self._ended.set()

    def _run(self, seen: Seen) -> None:
        retry = KeyringRetry(self._services)
        while not self._ended.wait(EVERY_S):
            retry.beat()
            now = self._look()
            if now != seen:
                seen = now
                self._changed()

    def _look(self) -> Seen:
        """Note the work, and return what changes; a keyring that was read and held nothing counts too."""
        secrets = self._services.secrets
        self.is_working = self._services.observers.running > 0
        return self.is_working, secrets.state, secrets.loaded.is_set(), self._services.health.current
