"""A keychain that keeps nothing beyond the test; it passes the same contract test as the system's."""

import re

from fakes.leaks import know
from proxy.errors.keyring import KeyringFailure, KeyringLocked
from proxy.keys.proxy_keys import KEPT_AS


class MemoryKeychain:
    """Keep secrets in memory; with a trouble every use of it fails so."""

    def __init__(self, trouble: KeyringFailure | None = None) -> None:
        self.kept: dict[str, str] = {}
        self.trouble = trouble

    def name(self) -> str:
        """Return what kind it is."""
        return "memory"

    def is_open(self) -> bool:
        """Tell whether it can be used without a question."""
        if self.trouble is not None and not isinstance(self.trouble, KeyringLocked):
            raise self.trouble
        return self.trouble is None

    def read(self, name: str) -> str | None:
        """Return what is kept under a name."""
        self._check()
        return self.kept.get(name)

    def write(self, name: str, secret: str) -> None:
        """Keep a secret under a name."""
        self._check()
        self.kept[name] = secret
        know(*re.findall(r"op-[\w-]{10,}", secret) if name == KEPT_AS else [secret])

    def delete(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self._check()
        self.kept.pop(name, None)

    def _check(self) -> None:
        if self.trouble is not None:
            raise self.trouble
