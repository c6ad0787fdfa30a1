"""Hold the keys of all upstreams: each has its own keyring entry and is sent to its own upstream only."""

import os
from collections.abc import Callable, Mapping
from functools import partial

from proxy.errors.keyring import EnvironmentKeyWrong, KeyringAbsent, UnusableKey
from proxy.keys.upstream_key import UPSTREAM, Keychain, KeyState, Secrets, clean_key
from proxy.settings.upstreams import Upstream


class UpstreamKeys:
    """Hold the key of each upstream. Any thread may look one up; the methods of `Secrets` say what may block.

    The upstream of OPENAI_BASE_URL has the keyring entry it always had. That of another one names the origin too: where
    its base URL moves to another server, the key stays behind, and has to be entered again. So does a key of the
    environment: it is for the server that the name stood for when the program first looked.
    """

    def __init__(
        self, first: Secrets, keychain: Callable[[], Keychain], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._first = first
        self._keychain = keychain
        self._environment = environment
        self._others: dict[str, Secrets] = {}  # by the keyring's entry
        self._origins: dict[str, str] = {}  # by the variable of a key: whom it is for

    def of(self, upstream: Upstream) -> Secrets:
        """Return the holder of an upstream's key."""
        if upstream.is_first:
            return self._first
        entry = entry_of(upstream)
        secrets = self._others.get(entry)
        if secrets is None:
            is_its_own = self._origins.setdefault(upstream.key_variable, upstream.origin) == upstream.origin
            key = partial(key_in, self._environment, upstream) if is_its_own else no_key
            secrets = self._others.setdefault(entry, Secrets(key, self._keychain, entry))
        return secrets

    def reload(self) -> None:
        """Read the first key again, and those that were read before, if the keyring is open. It may block."""
        self._first.reload()
        for secrets in list(self._others.values()):
            if secrets.loaded.is_set():
                secrets.reload()

    def held(self) -> list[str]:
        """Return all held keys, for redaction."""
        states = [secrets.state for secrets in (self._first, *self._others.values())]
        return [state.key for state in states if state.key]


def no_key() -> str | None:
    """Return that the environment has no key for an upstream."""
    return None


def is_keyless(upstream: Upstream, key: KeyState) -> bool:
    """Return whether an upstream is used without a key; False while its key may be in the keyring."""
    has_looked = key.problem is None or isinstance(key.problem, KeyringAbsent)
    return upstream.auth == "none" or (upstream.is_local and has_looked)


def key_in(environment: Mapping[str, str], upstream: Upstream) -> str | None:
    """Return an upstream's key in an environment; raises EnvironmentKeyWrong."""
    value = upstream.environment_key(environment)
    try:
        return clean_key(value) if value else None
    except UnusableKey as error:
        raise EnvironmentKeyWrong(f"{upstream.key_variable} in the environment is no API key: {error.detail}") from None


def entry_of(upstream: Upstream) -> str:
    """Return the name of the keyring's entry for an upstream's key."""
    return UPSTREAM if upstream.is_first else f"{UPSTREAM} {upstream.name} {upstream.origin}"
