"""The one function that takes keys out of texts: log lines, error messages, views."""

import re
from collections.abc import Iterable

KEY_SHAPES = re.compile(r"\b(sk-[A-Za-z0-9_-]{2})[A-Za-z0-9_-]{6,}|\b(Bearer[ \t]+)[^\s\"',;]+", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without the given keys and without anything shaped like one."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one may begin like another
        text = text.replace(secret, "[key]")
    return KEY_SHAPES.sub(lambda match: f"{match[1] or match[2]}[key]", text)
