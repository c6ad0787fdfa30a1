"""Tell other processes that keys have changed in the keyring: the command line changes them, a running proxy follows.

A keyring does not announce changes, so a file without meaningful content is touched at each change.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from proxy.files import write_private
from proxy.keys.upstream_key import Keychain

log = logging.getLogger(__name__)


class KeyChanges:
    """Announce a change, and notice those of other processes. It may block: any thread but the event loop's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen = self._read()
        self._has_missed = False  # what others announced was written over by an announcement of ours

    def announce(self) -> None:
        """Tell other processes; if the file cannot be written, they notice the change at their next start."""
        with self._lock:
            self._has_missed |= self._read() != self._seen
            self._seen = secrets.token_hex(8).encode()
            try:
                write_private(self._file, self._seen)
            except OSError as error:
                log.warning("a running proxy is not told that keys have changed: %s", error)

    def is_new(self) -> bool:
        """Return whether another process has announced a change since the last call."""
        with self._lock:
            before, self._seen = self._seen, self._read()
            has_missed, self._has_missed = self._has_missed, False
            return has_missed or self._seen != before

    def _read(self) -> bytes:
        try:
            return self._file.read_bytes()
        except OSError:
            return b""


class AnnouncingKeychain:
    """A keychain that announces its changes."""

    def __init__(self, keychain: Callable[[], Keychain], changes: KeyChanges) -> None:
        self._open = keychain
        self._changes = changes

    def name(self) -> str:
        """Return the keyring's name, for display."""
        return self._open().name()

    def is_open(self) -> bool:
        """Return whether it can be read and written now without a prompt."""
        return self._open().is_open()

    def read(self, name: str) -> str | None:
        """Return the secret stored under a name."""
        return self._open().read(name)

    def write(self, name: str, secret: str) -> None:
        """Store a secret under a name."""
        self._open().write(name, secret)
        self._changes.announce()

    def delete(self, name: str) -> None:
        """Delete the secret stored under a name."""
        self._open().delete(name)
        self._changes.announce()
