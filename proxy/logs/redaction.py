"""Remove secrets from texts: log lines, error messages, crash reports, views. All of them use this one function."""

import os
import re
from collections.abc import Iterable, Mapping

from proxy.logs.addresses import hide_addresses
from proxy.logs.known_logins import known_logins, logins_in

KEY_SHAPES = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{2})[A-Za-z0-9_-]{6,}|\b(op-)[A-Za-z0-9_-]{40,}|\b(Bearer[ \t]+)[^\s\"',;]+", re.IGNORECASE
)
KEY_WORDS = ("sk-", "op-", "bearer")  # each shape holds one; most texts hold none, which is found fast
SHORTEST_KEY = 6  # what is shorter ("none", "x": servers on this computer take anything) is a word, and no secret
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str, secrets: Iterable[str] = (), environment: Mapping[str, str] = os.environ) -> str:
    """Return the text without the given keys, logins, and anything shaped like a key or login."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may begin like another
        if len(secret) >= SHORTEST_KEY:
            text = text.replace(secret, "[key]")
    folded = text.lower()
    if any(word in folded for word in KEY_WORDS):
        text = KEY_SHAPES.sub(lambda match: f"{match[1] or match[2] or match[3]}[key]", text)
    return without_logins(text, environment)


def without_logins(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the text without the logins of network proxies, and without the login and key of any URL in it.

    The environment, which names the proxies, is read at each call.
    """
    for known in known_logins(environment):
        text = known.hide(text)
    return hide_addresses(text)


def shown_value(value: object) -> str:
    """Return the repr of a value, redacted, even if the value itself is a login."""
    text = repr(value)
    for known in logins_in((str(value),)):
        text = known.hide(text)
    return hide_addresses(text)


def escape(text: str) -> str:
    """Return the text with control characters escaped, except line breaks: they could control a terminal."""
    return text if text.isprintable() else CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
