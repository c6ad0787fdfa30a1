"""The keys tools show the proxy: those of the environment, and those the program makes and keeps in the keyring."""

import json
import logging
import secrets as random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from proxy.errors.keyring import KeyringFailure, ProxyKeyTrouble
from proxy.keys.upstream_key import Keychain

KEPT_AS = "proxy-keys"
PREFIX = "op-"
RANDOM_BYTES = 32
LONGEST_NAME = 60
FIRST_NAME = "this computer"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProxyKey:
    """One key, its name, and the day it was made ("" for the environment's)."""

    name: str
    key: str
    made: str = ""

    def __repr__(self) -> str:  # a dataclass's own would show the key in a traceback
        return f"ProxyKey({self.name!r})"


class ProxyKeys:
    """Hold the proxy keys. `current` may be read on any thread; the other methods wait for the keyring."""

    def __init__(self, environment_keys: Callable[[], list[str]], keychain: Callable[[], Keychain]) -> None:
        self._environment_keys = environment_keys
        self._keychain = keychain
        self.made: tuple[ProxyKey, ...] = ()  # those the program made; after each change another tuple
        self._one_at_a_time = threading.RLock()  # what was read before a change must not be in force after it

    @property
    def current(self) -> tuple[ProxyKey, ...]:
        """Return every key that opens the proxy."""
        given = self._environment_keys()
        return (*self.made, *(ProxyKey(f"PROXY_API_KEYS[{place}]", key) for place, key in enumerate(given, 1)))

    def load(self) -> None:
        """Read the keyring anew; what goes wrong stands in the log and leaves the keys as they were."""
        try:
            self.read()
        except KeyringFailure as failure:
            log.error("the proxy keys: %s", failure)  # noqa: TRY400  one sentence; a traceback has no more to tell

    def read(self) -> None:
        """Read the keyring anew; raises KeyringFailure, and then the keys are as they were."""
        with self._one_at_a_time:
            self.made = self._read()

    def new(self, name: str) -> ProxyKey:
        """Make a key and keep it; raises KeyringFailure, and ProxyKeyTrouble for a name that is taken or empty."""
        name = name.strip()
        with self._one_at_a_time:
            keys = self._read()
            if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
                raise ProxyKeyTrouble(f"a key needs a name of 1 to {LONGEST_NAME} printable characters")
            if any(key.name == name for key in keys):
                raise ProxyKeyTrouble(f"the name {name!r} is taken")
            key = new_key(name)
            self._write((*keys, key))
        return key

    def revoke(self, name: str) -> None:
        """Forget a key; raises KeyringFailure, and ProxyKeyTrouble where there is none of that name."""
        with self._one_at_a_time:
            keys = self._read()
            left = tuple(key for key in keys if key.name != name)
            if len(left) == len(keys):
                raise ProxyKeyTrouble(f"there is no key named {name!r}")
            self._write(left)

    def first(self) -> ProxyKey:
        """Return a key to copy: the first there is, else a new one for this computer; raises KeyringFailure."""
        with self._one_at_a_time:
            if not self.current:
                self.made = self._read()
            return self.current[0] if self.current else self.new(FIRST_NAME)

    def load_in_background(self) -> None:
        """Begin to read the keyring."""
        threading.Thread(target=self.load, name="keyring", daemon=True).start()

    def reload(self) -> None:
        """Read an open keyring anew; where that fails the keys stay, and nobody is asked anything."""
        try:
            with self._one_at_a_time:
                if self._keychain().is_open():
                    self.made = self._read()
        except KeyringFailure as failure:
            log.warning("the proxy keys were not read anew: %s", failure)

    def begin(self) -> None:
        """Make this computer's key where none was ever made, so that asking for one is one click.

        Not where the keyring would ask its user something; there the click does it.
        """
        try:
            with self._one_at_a_time:
                keychain = self._keychain()
                if keychain.is_open() and keychain.read(KEPT_AS) is None:
                    self._write((new_key(FIRST_NAME),))
        except KeyringFailure as failure:
            log.info("no proxy key was made for this computer: %s", failure)

    def _read(self) -> tuple[ProxyKey, ...]:
        kept = self._keychain().read(KEPT_AS)
        try:
            return tuple(ProxyKey(**entry) for entry in json.loads(kept)) if kept else ()
        except (ValueError, TypeError):
            raise KeyringFailure(f"its entry {KEPT_AS!r} is damaged; delete it there") from None  # they show the keys

    def _write(self, keys: tuple[ProxyKey, ...]) -> None:
        self._keychain().write(KEPT_AS, json.dumps([asdict(key) for key in keys]))
        self.made = keys


def new_key(name: str) -> ProxyKey:
    """Return a new key, made today."""
    return ProxyKey(name, PREFIX + random.token_urlsafe(RANDOM_BYTES), datetime.now(timezone.utc).date().isoformat())
