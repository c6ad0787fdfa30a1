"""Take a new key of an upstream: it is tried first, so that a key that works is not lost by mistake."""

import click

from proxy.cli.terminal import say
from proxy.errors.keyring import UnusableKey
from proxy.keys.upstream_key import KeyState, clean_key
from proxy.services import Services
from proxy.settings.upstreams import Upstream


def keep_tried(services: Services, upstream: Upstream, text: str, *, may_ask: bool, yes: bool) -> KeyState:
    """Keep the key and return its state; raises UnusableKey, KeyringFailure, and Abort where the user says no.

    A key that works is replaced by one that does not only where the user agrees, or has said `--yes`.
    """
    held = services.upstream_keys.of(upstream)
    key = clean_key(text)
    refusal = services.try_key(key, upstream)
    if refusal and not yes:
        old = held.load().key
        if old and services.try_key(old, upstream) is None:
            say(refusal)
            if not may_ask:
                raise UnusableKey("the key in force works and was not replaced; --yes replaces it anyway")
            click.confirm("The key in force works. Replace it anyway?", abort=True)
    state = held.keep(text)
    say(refusal or "The upstream accepts the key.")
    return state
