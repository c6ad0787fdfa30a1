"""Read the keyring again after a failure: at login it may start, or be unlocked, only after the tray has started."""

from proxy.keys.reading import Keys
from proxy.keys.upstream_key import Secrets
from tray_app.schedule import Schedule

FIRST_DELAY_S = 3.0
MAX_DELAY_S = 3600.0  # a keyring that never comes is tried less and less often


class KeyringRetry:
    """Retry with growing delays as long as the keyring cannot be read. No thread of its own.

    A keyring does not announce that it has been unlocked, so this part has to ask.
    """

    def __init__(self, secrets: Secrets, keys: Keys, schedule: Schedule) -> None:
        self._secrets = secrets
        self._keys = keys
        self._schedule = schedule
        self._delay_s = FIRST_DELAY_S
        self._is_scheduled = False

    def follow(self) -> None:
        """Retry where the keyring could not be read, stop where it could; call it after each change of the key."""
        if self._secrets.state.problem is None:
            self._schedule.cancel(self._retry)
            self._delay_s, self._is_scheduled = FIRST_DELAY_S, False
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._schedule.after(self._delay_s, self._retry)

    def _retry(self) -> None:
        """Try again; on the schedule's thread. It does not wait, and never makes the keyring ask its user."""
        self._is_scheduled = False
        if self._secrets.state.problem is not None:
            self._keys.after_refusal()  # reads an open keyring again, in a thread of its own
            self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)
            self.follow()
