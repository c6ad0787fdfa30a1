"""Take a new key of an upstream: it is tried first, so that a key that works is not lost by mistake."""

from collections.abc import Callable

import click

from proxy.cli.terminal import log_silent, say
from proxy.errors.keyring import UnusableKey
from proxy.keys.upstream_key import KeyState, Secrets, clean_key, worth_keeping


def keep_tried(held: Secrets, try_key: Callable[[str], str | None], text: str, *, may_ask: bool, yes: bool) -> KeyState:
    """Keep the key and return its state; raises UnusableKey, KeyringFailure, and Abort where the user says no.

    A key that works is replaced by one that does not only where the user agrees, or has said `--yes`.
    """
    key = clean_key(text)
    refusal = try_key(key)
    with log_silent():  # a keyring that fails is told where the key is to be stored
        held_key = held.load().key if refusal and not yes else None
    if refusal and (works := worth_keeping(refusal, held_key, try_key)):
        say(refusal)
        if not may_ask:
            raise UnusableKey(f"the key in force {works} and was not replaced; --yes replaces it anyway")
        click.confirm(f"The key in force {works}. Replace it anyway?", abort=True)
    state = held.keep(text)
    say(refusal or "The upstream accepts the key.")
    return state
