"""Take everything of ours out of the system's keyring."""

from proxy.keys.proxy_keys import KEPT_AS
from proxy.keys.upstream_key import UPSTREAM, Keychain

ENTRIES = (UPSTREAM, KEPT_AS)


def erase(keychain: Keychain) -> None:
    """Delete every entry of the program; raises KeyringFailure, and the entries before that one are gone."""
    for name in ENTRIES:
        keychain.delete(name)
