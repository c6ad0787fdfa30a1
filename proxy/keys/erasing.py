"""Take everything of ours out of the system's keyring."""

from collections.abc import Iterable
from contextlib import suppress

from proxy.errors.keyring import KeyringFailure
from proxy.keys.proxy_keys import KEPT_AS, entries_in
from proxy.keys.upstream_key import UPSTREAM, Keychain

ENTRIES = (UPSTREAM, KEPT_AS)


def erase(keychain: Keychain, others: Iterable[str] = ()) -> None:
    """Delete every entry of the program, and others; raises KeyringFailure, and the entries before that one are gone.

    The keyring cannot be asked which entries it holds: those of more upstreams are known by the settings.
    """
    with suppress(KeyringFailure):  # what is damaged says no more than this
        others = [*entries_in(keychain.read(KEPT_AS)), *others]
    for name in (*others, *ENTRIES):
        keychain.delete(name)
