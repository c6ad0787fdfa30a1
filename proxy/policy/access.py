"""Check who may call: by proxy key, and find the upstream key that a caller sends."""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from proxy.errors.request import ProxyKeyMissing, ProxyKeyRefused
from proxy.policy.headers import KEY_HEADERS, PROXY_KEY_HEADER, RequestHeaders
from proxy.policy.websocket import key_among_protocols
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore

BEARER = "bearer"


@dataclass(frozen=True)
class Caller:
    """A caller that was admitted."""

    key_name: str | None = None  # which proxy key, by its name; None where none was asked for
    upstream_key: str | None = None  # the caller's own, where forwarding is on


class ProxyKeyList(Protocol):
    """What an admission needs to know about the proxy keys."""

    @property
    def made(self) -> object:
        """Return the keys that the program made; a new value after each change."""


@dataclass(frozen=True)
class Admission:
    """What an admission depends on; it stays valid until one of these changes."""

    store: SettingsStore
    in_force: object  # in the store, at that time
    proxy_keys: ProxyKeyList
    keys_made: object


def admit(settings: Settings, keys: Callable[[], Iterable[tuple[str, str]]], headers: RequestHeaders) -> Caller:
    """Admit a request, or raise ProxyKeyMissing or ProxyKeyRefused; `keys` returns (name, key) pairs."""
    brought = callers_key(headers)
    forwarded = brought if settings.proxy_forward_auth_header else None
    if not settings.proxy_require_api_key:
        return Caller(upstream_key=forwarded)
    if settings.proxy_forward_auth_header:
        offered = headers.get(PROXY_KEY_HEADER)
    else:
        offered = brought or headers.get(PROXY_KEY_HEADER)
    if not offered:
        raise ProxyKeyMissing(f"it comes in {PROXY_KEY_HEADER}" if settings.proxy_forward_auth_header else "")
    name = find_key(offered, keys())
    if name is None:
        raise ProxyKeyRefused
    return Caller(key_name=name, upstream_key=forwarded)


def callers_key(headers: RequestHeaders) -> str | None:
    """Return the key that a caller sends, in any header its SDK may use; None if there is none."""
    authorization, *others = KEY_HEADERS
    key = bearer_token(headers.get(authorization, ""))
    if key is None and "Sec-WebSocket-Protocol" in headers:
        key = key_among_protocols(headers.get("Sec-WebSocket-Protocol", ""))
    return key or next((bare for name in others if (bare := bearer_token(headers.get(name, "")))), None)


def bearer_token(value: str) -> str | None:
    """Return the key in a header's value: after `Bearer`, or alone, as some tools send it.

    If a user pasted `Bearer` into the field for the key, it comes twice. Credentials of another scheme are no key.
    """
    token, has_scheme = value.strip(), False
    while True:
        scheme, _, rest = token.partition(" ")
        if scheme.lower() != BEARER:
            break
        token, has_scheme = rest.strip(), True
    return token if token and (has_scheme or " " not in token) else None


def find_key(offered: str, keys: Iterable[tuple[str, str]]) -> str | None:
    """Return the name of the matching key; every key is compared, in constant time."""
    found = None
    for name, key in keys:
        if hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), key.encode("utf-8")):
            found = name
    return found
