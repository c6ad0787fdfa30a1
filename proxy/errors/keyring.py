"""What can go wrong with keys and the keyring."""

from proxy.errors.proxy_error import ProxyError

OTHER_WAYS = "in the environment (OPENAI_API_KEY, PROXY_API_KEYS), or on the program's page, for this session only"


class NoUpstreamKey(ProxyError):
    """Say where to put the upstream key."""

    title = "The proxy has no upstream API key yet"
    hint = "Store it with `openai-tray-proxy key set`, on the program's page, or in OPENAI_API_KEY"
    status = 503
    type = "configuration_error"
    code = "no_upstream_key"
    should_retry = False


class UpstreamKeyNotRead(NoUpstreamKey):
    """There is no upstream key because the keyring failed; the detail says how, and what to do."""

    title = "The upstream API key cannot be read"
    hint = ""


class UnusableKey(ProxyError):
    """Refuse what cannot be a key."""

    title = "This cannot be an API key"
    hint = "Copy it again from your provider's page"
    status = 400
    type = "invalid_request_error"
    code = "unusable_key"


class ProxyKeyTrouble(ProxyError):
    """Refuse a change of the proxy keys."""

    title = "The proxy keys were not changed"
    status = 400
    type = "invalid_request_error"
    code = "proxy_key_trouble"


class KeyringFailure(ProxyError):
    """Report that the system's keyring did not help."""

    title = "The system's keyring failed"
    hint = f"Give the key in another way: {OTHER_WAYS}"
    status = 503
    type = "configuration_error"
    code = "keyring_failure"
    should_retry = False


class KeyringAbsent(KeyringFailure):
    """There is no keyring that keeps keys safe."""

    title = "This system offers no safe keyring"
    hint = f"Start one (GNOME Keyring, KWallet), or give the key in another way: {OTHER_WAYS}"


class KeyringLocked(KeyringFailure):
    """The keyring is locked and was not unlocked."""

    title = "The system's keyring is locked"
    hint = f"Unlock it and try again, or give the key in another way: {OTHER_WAYS}"


class KeyringSilent(KeyringFailure):
    """The keyring did not answer in time: it may be waiting for its user."""

    title = "The system's keyring does not answer"
    hint = f"Look for its question on the screen and try again, or give the key in another way: {OTHER_WAYS}"


class EnvironmentKeyWrong(KeyringFailure):
    """A variable of the environment holds what cannot be a key; the detail names it. The keyring is not to blame."""

    title = "The API key of the environment cannot be used"
    hint = "Correct the variable, or take it out, and start again"


class KeyTooLong(KeyringFailure):
    """The keyring has no room for a key of this length."""

    title = "The key is too long for this system's keyring"


KEY_REFUSED = "The upstream refuses this key"  # how the sentence begins that says so
