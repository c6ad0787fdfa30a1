"""Remember the origins refused last, so that the user can allow one by a click. In memory; for any thread."""

import threading
from collections.abc import Collection

from proxy.settings.parsing import parse_origin

MOST = 5
LONGEST = 255  # a host's name has no more; what is longer would only fill the page


class RefusedOrigins:
    """Hold the last few refused origins that can be allowed; `null` and `file://` cannot."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: list[str] = []

    def note(self, header: str | None) -> None:
        """Record a refused request's Origin header; a value that is no origin is ignored."""
        try:
            origin = parse_origin(header or "")
        except ValueError:
            return
        if len(origin) > LONGEST or not (origin.isascii() and origin.isprintable()):
            return
        with self._lock:
            self._last = [origin, *(other for other in self._last if other != origin)][:MOST]

    def offered(self, allowed: Collection[str]) -> list[str]:
        """Return the origins, the latest first, without those that are allowed by now."""
        with self._lock:
            return [origin for origin in self._last if origin not in allowed]
