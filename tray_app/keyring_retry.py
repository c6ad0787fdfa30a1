"""Try a keyring again that could not be read: at login it may be there, or unlocked, only after we have started."""

import time
from collections.abc import Callable

from proxy.services import Services

FIRST_S = 3.0
LONGEST_S = 3600.0  # a keyring that never comes is asked less and less often


class KeyringRetry:
    """Ask again from time to time, as long as there is a problem; used on one thread."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._wait_s = FIRST_S
        self._due: float | None = None

    def beat(self) -> None:
        """Ask if it is time to; never waits, and never makes the keyring ask its user."""
        if self._services.secrets.state.problem is None:
            self._wait_s, self._due = FIRST_S, None
        elif self._due is None:
            self._due = self._clock() + self._wait_s
        elif self._clock() >= self._due:
            self._services.keys.after_refusal()  # reads an open keyring anew, in a thread of its own
            self._wait_s = min(2 * self._wait_s, LONGEST_S)
            self._due = self._clock() + self._wait_s
