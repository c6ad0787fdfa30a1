"""The one function that takes keys out of texts: log lines, error messages, crash reports, views."""

import re
from collections.abc import Iterable

KEY_SHAPES = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{2})[A-Za-z0-9_-]{6,}|\b(op-)[A-Za-z0-9_-]{40,}|\b(Bearer[ \t]+)[^\s\"',;]+", re.IGNORECASE
)
KEY_WORDS = ("sk-", "op-", "bearer")  # each shape holds one; most texts hold none, which is found fast
SHORTEST_KEY = 6  # what is shorter ("none", "x": servers on this computer take anything) is a word, and no secret
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without the given keys and without anything shaped like one."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may begin like another
        if len(secret) >= SHORTEST_KEY:
            text = text.replace(secret, "[key]")
    folded = text.lower()
    if not any(word in folded for word in KEY_WORDS):
        return text
    return KEY_SHAPES.sub(lambda match: f"{match[1] or match[2] or match[3]}[key]", text)


def escape(text: str) -> str:
    """Return the text with its control characters but line breaks written out: they could steer a terminal."""
    return text if text.isprintable() else CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
