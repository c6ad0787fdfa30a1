"""What can go wrong with keys and the keyring; `errors.py` draws the whole tree."""

from proxy.errors import ProxyError


class UnusableKey(ProxyError):
    """Refuse what cannot be a key."""

    title = "This cannot be an API key"
    hint = "Copy it again from your provider's page"
    status = 400
    type = "invalid_request_error"
    code = "unusable_key"


class KeyringFailure(ProxyError):
    """Report that the system's keyring did not help."""

    title = "The system's keyring failed"
    hint = "Set OPENAI_API_KEY instead, or use the key for this session only"
    status = 503
    type = "configuration_error"
    code = "keyring_failure"
    should_retry = False


class KeyringAbsent(KeyringFailure):
    """There is no keyring that keeps keys safe."""

    title = "This system offers no safe keyring"
    hint = "Start one (GNOME Keyring, KWallet), set OPENAI_API_KEY, or use the key for this session only"


class KeyringLocked(KeyringFailure):
    """The keyring is locked and was not unlocked."""

    title = "The system's keyring is locked"
    hint = "Unlock it and try again, set OPENAI_API_KEY, or use the key for this session only"


class KeyringSilent(KeyringFailure):
    """The keyring did not answer in time: it may be waiting for its user."""

    title = "The system's keyring does not answer"
    hint = "Look for its question on the screen, then try again, or set OPENAI_API_KEY"


class KeyTooLong(KeyringFailure):
    """The keyring has no room for a key of this length."""

    title = "The key is too long for this system's keyring"


class ProxyKeyTrouble(ProxyError):
    """Refuse a change of the proxy keys."""

    title = "The proxy keys were not changed"
    status = 400
    type = "invalid_request_error"
    code = "proxy_key_trouble"
