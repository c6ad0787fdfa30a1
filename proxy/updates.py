"""Whether a newer version is on the package index: looked for once a day at most, and only where the user wants it."""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from proxy.errors.proxy_error import ProxyError
from proxy.files import write_private
from proxy.identity import APP_ID, __version__
from proxy.settings.model import Settings

EVERY_S = 86_400.0

log = logging.getLogger(__name__)


class Updates:
    """Know the latest version. For any thread; `look` blocks."""

    def __init__(
        self, settings: Callable[[], Settings], file: Callable[[], Path], clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._file = file  # what is remembered, shared by all programs of this user
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._latest: str | None = None
        self._asked_at = 0.0  # seconds of the wall clock
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call the listener with a newer version when it is found, on the thread that looked."""
        self._listeners.append(listener)

    @property
    def available(self) -> str | None:
        """Return a version that is newer than this one, None where none is known or nobody wants to know."""
        latest = self._latest
        return latest if self._settings().proxy_update_notice and latest and is_newer(latest, __version__) else None

    @property
    def is_due(self) -> bool:
        """Tell whether the index is to be asked; looks at no file."""
        age_s = self._clock() - self._asked_at
        return self._settings().proxy_update_notice and not 0 <= age_s < EVERY_S

    def look(self) -> None:
        """Ask the index where a day has passed since anybody asked; what goes wrong stands in the log."""
        with self._one_at_a_time:
            before = self.available
            self._read()
            if self.is_due:
                self._ask()
            found = self.available
        if found is not None and found != before:
            log.info("version %s is available; this is %s", found, __version__)
            for listener in self._listeners:
                listener(found)

    def _ask(self) -> None:
        from proxy.upstream.package_index import latest_version  # noqa: PLC0415  who does not ask pays for nothing

        self._asked_at = self._clock()
        try:
            self._latest = (
                latest_version(self._settings().proxy_update_index, f"{APP_ID}/{__version__}") or self._latest
            )
        except ProxyError as error:
            log.info("whether there is a newer version is not known: %s", error)
        try:
            write_private(self._file(), json.dumps({"asked_at": self._asked_at, "version": self._latest}).encode())
        except OSError as error:
            log.warning("when the package index was asked cannot be remembered: %s", error)

    def _read(self) -> None:
        """Take over what another program of this user has found."""
        try:
            kept = json.loads(self._file().read_bytes())
            asked_at, version = float(kept["asked_at"]), kept["version"]
        except (OSError, ValueError, LookupError, TypeError):
            return
        if self._asked_at < asked_at <= self._clock():
            self._asked_at = asked_at
            self._latest = version if isinstance(version, str) else None


def is_newer(version: str, than: str) -> bool:
    """Tell whether a version comes after another; what is no version comes after none."""
    try:
        return numbers(version) > numbers(than)
    except ValueError:
        return False


def numbers(version: str) -> list[int]:
    """Return a version's numbers, without zeros at the end; raises ValueError."""
    found = [int(part) for part in version.split(".")]
    while found and found[-1] == 0:
        found.pop()
    return found
