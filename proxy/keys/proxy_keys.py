"""Hold the proxy keys: those of the environment, and those the program makes and stores in the keyring.

Each has an entry of its own there, since an entry may be small (see `pieces`). One more entry lists them, since a
keyring cannot.
"""

import json
import logging
import secrets as random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from proxy.errors.keyring import KeyringFailure, ProxyKeyTrouble
from proxy.keys.upstream_key import Keychain
from proxy.settings.parsing import parse_key

KEPT_AS = "proxy-keys"
ENTRY = "proxy-key "  # begins the name of the entry of one
PREFIX = "op-"
RANDOM_BYTES = 32
LONGEST_NAME = 60
FIRST_NAME = "this computer"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProxyKey:
    """A key, its name, the day it was made ("" for the environment's), and its entry in the keyring.

    `key` is empty if the entry is gone. Without an entry, the key is in the list itself, as in early versions.
    """

    name: str
    key: str
    made: str = ""
    entry: str = ""

    def __repr__(self) -> str:  # a dataclass's own would show the key in a traceback
        return f"ProxyKey({self.name!r})"


class ProxyKeys:
    """Hold the proxy keys. `current` may be read on any thread; the other methods block on the keyring."""

    def __init__(
        self,
        environment_keys: Callable[[], list[str]],
        keychain: Callable[[], Keychain],
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._environment_keys = environment_keys
        self._alone = alone  # among all processes, while the list is read and written; raises TimeoutError
        self._keychain = keychain
        self.made: tuple[ProxyKey, ...] = ()  # those the program made; after each change another tuple
        self._one_at_a_time = threading.RLock()  # what was read before a change must not be in force after it

    @property
    def current(self) -> tuple[ProxyKey, ...]:
        """Return every key that opens the proxy."""
        given = self._environment_keys()
        return (*self.made, *(ProxyKey(f"PROXY_API_KEYS[{place}]", key) for place, key in enumerate(given, 1)))

    def load(self) -> None:
        """Read the keyring again; a failure is logged and leaves the keys as they were."""
        try:
            self.read()
        except KeyringFailure as failure:
            log.error("the proxy keys: %s", failure)  # noqa: TRY400  one sentence; a traceback has no more to tell

    def read(self) -> None:
        """Read the keyring again; raises KeyringFailure, and then the keys are as they were."""
        with self._one_at_a_time:
            self.made = usable(self._read())

    def new(self, name: str) -> ProxyKey:
        """Make and store a key; raises KeyringFailure, and ProxyKeyTrouble for a name that is taken or empty."""
        name = name.strip()
        with self._changing():
            keys = self._read()
            if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
                raise ProxyKeyTrouble(f"a key needs a name of 1 to {LONGEST_NAME} printable characters")
            if any(key.name == name for key in keys):
                raise ProxyKeyTrouble(f"the name {name!r} is taken")
            return self._write((*keys, new_key(name)))[-1]

    def revoke(self, name: str) -> None:
        """Delete a key; raises KeyringFailure, and ProxyKeyTrouble if no key has that name."""
        with self._changing():
            keys = self._read()
            left = tuple(key for key in keys if key.name != name)
            if len(left) == len(keys):
                raise ProxyKeyTrouble(f"there is no key named {name!r}")
            self._write(left)
            for key in keys:
                if key.name == name and key.entry:
                    self._keychain().delete(key.entry)

    def first(self) -> ProxyKey:
        """Return the first key, or make one for this computer; raises KeyringFailure."""
        with self._one_at_a_time:
            if not self.current:
                self.made = usable(self._read())
            return self.current[0] if self.current else self.new(FIRST_NAME)

    def load_in_background(self) -> None:
        """Start reading the keyring on the thread `keyring`; return at once."""
        threading.Thread(target=self.load, name="keyring", daemon=True).start()

    def reload(self) -> None:
        """Read an open keyring again, without a prompt; if that fails, the keys stay."""
        try:
            with self._one_at_a_time:
                if self._keychain().is_open():
                    self.made = usable(self._read())
        except KeyringFailure as failure:
            log.warning("the proxy keys were not read anew: %s", failure)

    def begin(self) -> None:
        """Make this computer's key if none was ever made, so that requiring a key is one click.

        Not if the keyring would prompt the user; then the click makes the key.
        """
        try:
            with self._changing():
                keychain = self._keychain()
                if keychain.is_open() and keychain.read(KEPT_AS) is None:
                    self._write((new_key(FIRST_NAME),))
        except KeyringFailure as failure:
            log.info("no proxy key was made for this computer: %s", failure)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one thread of one process at a time change the list; raises KeyringFailure."""
        with self._one_at_a_time, ExitStack() as stack:
            try:
                stack.enter_context(self._alone())
            except TimeoutError as error:
                raise KeyringFailure(f"the proxy keys are being changed elsewhere ({error})") from error
            yield

    def _read(self) -> tuple[ProxyKey, ...]:
        """Return all listed keys, also those whose entry is gone."""
        keychain = self._keychain()
        return tuple(
            replace(row, key=keychain.read(row.entry) or "") if row.entry else row
            for row in listed(keychain.read(KEPT_AS))
        )

    def _write(self, keys: tuple[ProxyKey, ...]) -> tuple[ProxyKey, ...]:
        """Write each key's own entry, then the list; return the keys with their entries."""
        keychain = self._keychain()
        placed = tuple(key if key.entry else replace(key, entry=f"{ENTRY}{random.token_hex(8)}") for key in keys)
        for key, before in zip(placed, keys, strict=True):
            if key is not before:
                keychain.write(key.entry, key.key)
        rows = [{"name": key.name, "made": key.made, "entry": key.entry} for key in placed]
        keychain.write(KEPT_AS, json.dumps(rows, ensure_ascii=False, separators=(",", ":")))
        self.made = usable(placed)
        return placed


def listed(kept: str | None) -> list[ProxyKey]:
    """Return the keys in the list; raises KeyringFailure if it is damaged, as the keys are unknown then."""
    try:
        return [listed_key(row) for row in json.loads(kept)] if kept else []
    except (ValueError, TypeError, RecursionError):
        raise KeyringFailure(f"its entry {KEPT_AS!r} is damaged; delete it there") from None  # they show the keys


def listed_key(row: object) -> ProxyKey:
    """Return one row of the list; raises ValueError or TypeError."""
    match row:
        case {"name": str(name), "entry": str(entry), **rest} if entry.startswith(ENTRY):
            key = ""
        case {"name": str(name), "key": str(key), **rest}:
            entry = ""
        case _:
            raise ValueError("no key")
    made = rest.get("made", "")
    return ProxyKey(name, key, made if isinstance(made, str) else "", entry)


def entries_in(kept: str | None) -> list[str]:
    """Return the names of the entries that the list names; raises KeyringFailure."""
    return [row.entry for row in listed(kept) if row.entry]


def usable(keys: Iterable[ProxyKey]) -> tuple[ProxyKey, ...]:
    """Return the usable keys; one that is invalid or gone is logged and left out."""
    found = []
    for key in keys:
        try:
            is_key = bool(key.key) and parse_key(key.key) == key.key
        except ValueError:
            is_key = False
        if is_key:
            found.append(key)
        else:
            log.warning("the proxy key %r is listed in the keyring and its entry is gone; revoke it", key.name)
    return tuple(found)


def new_key(name: str) -> ProxyKey:
    """Return a new key, made today."""
    return ProxyKey(name, PREFIX + random.token_urlsafe(RANDOM_BYTES), datetime.now(timezone.utc).date().isoformat())
