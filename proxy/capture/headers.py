"""Headers and addresses as a page may show them: what may hold a key is there by name alone."""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote, unquote_plus

from proxy.http.headers import Headers

Origin = Literal["client", "changed", "added"]

HIDDEN = "[hidden]"
SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|session|passw|credential|signature|login", re.IGNORECASE)
HARMLESS = frozenset(
    {
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
        "anthropic-ratelimit-output-tokens-limit",
        "anthropic-ratelimit-output-tokens-remaining",
        "anthropic-ratelimit-output-tokens-reset",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    }
)


def shown_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return headers without the values that may be secrets."""
    return Headers([(name, HIDDEN if is_secret(name) else value) for name, value in list(headers)])


def origins(sent: Iterable[tuple[str, str]], received: Iterable[tuple[str, str]]) -> list[Origin]:
    """Return of each header that is sent whether it is the client's; a secret of its name is never the same one."""
    received = list(received)
    pairs, names = set(received), {name for name, _ in received}
    return [
        "added" if name not in names else "client" if (name, value) in pairs and value != HIDDEN else "changed"
        for name, value in ((name.lower(), value) for name, value in sent)
    ]


def is_secret(name: str) -> bool:
    """Tell whether the name of a header or parameter is that of something secret."""
    return SECRET_NAME.search(name) is not None and name.lower() not in HARMLESS


def shown_query(query: str) -> str:
    """Return a query without the values that may be secrets."""
    return "&".join(shown_parameter(pair) for pair in query.split("&")) if query else ""


def shown_parameter(pair: str) -> str:
    """Return one parameter of a query."""
    name, sign, _ = pair.partition("=")
    return f"{name}={quote(HIDDEN)}" if sign and is_secret(unquote_plus(name)) else pair


def shown_url(url: str) -> str:
    """Return an address without the secrets of its query."""
    path, sign, query = url.partition("?")
    return path + sign + shown_query(query)
