"""Delete the program's entries from the system's keyring."""

from collections.abc import Iterable
from contextlib import suppress

from proxy.errors.keyring import KeyringFailure
from proxy.keys.proxy_keys import KEPT_AS, entries_in
from proxy.keys.upstream_key import UPSTREAM, Keychain

ENTRIES = (UPSTREAM, KEPT_AS)


def erase(keychain: Keychain, others: Iterable[str] = ()) -> None:
    """Delete every entry of the program, and the named ones; raises KeyringFailure, with the earlier entries deleted.

    A keyring cannot list its entries; those of further upstreams are known from the settings.
    """
    with suppress(KeyringFailure):  # what is damaged says no more than this
        others = [*entries_in(keychain.read(KEPT_AS)), *others]
    for name in (*others, *ENTRIES):
        keychain.delete(name)
