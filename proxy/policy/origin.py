"""Check Host and Origin: exact matches of parsed values, never prefixes."""

import ipaddress
import re
from collections.abc import Collection

from proxy.errors.request import ContentTypeNotAllowed, HostNotAllowed, MalformedRequest, OriginNotAllowed
from proxy.policy.headers import RequestHeaders
from proxy.settings.parsing import DEFAULT_PORTS, is_loopback, parse_origin

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
LOOPBACK_NAMES = OWN_NAMES | {"localhost."}
WILDCARD_BINDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  named here to be refused as Host
EDITOR_SCHEMES = frozenset({"vscode-webview"})
EDITOR_ORIGINS = frozenset({"vscode-file://vscode-app"})
HOST_NAME = re.compile(r"\[[0-9a-f:.]+\]|[^\[\]:]+")
CROSS_SITES = frozenset({"cross-site", "same-site"})


def check_host(host: str | None, port: str, bound: str, allowed: Collection[str]) -> None:
    """Raise HostNotAllowed unless Host names this proxy, and MalformedRequest for no valid Host.

    `bound` and `port` are where it listens.
    """
    if not host or any(character in host for character in ", @/\\?#") or host != host.strip():
        raise MalformedRequest("one Host header is needed")
    name, given_port = split_host(host.lower())
    if given_port is None or not HOST_NAME.fullmatch(name):
        raise MalformedRequest("the Host header is not a host and port")
    # A tunnel (ssh -L, an editor's forwarded port) has its own port, and a rebinding page would know ours: it is the
    # name that such a page cannot send.
    if names_loopback(name):
        return
    own = bound not in WILDCARD_BINDS and name.strip("[]") == bound.strip("[]").lower()
    if own and (given_port or "80") == port:
        return
    if any(entry.lower() in (name, f"{name}:{given_port}") for entry in allowed):
        return
    raise HostNotAllowed(repr(host))


def names_loopback(name: str) -> bool:
    """Return whether a host name, in lower case, leads every browser to this computer only."""
    if name in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


def split_host(host: str) -> tuple[str, str | None]:
    """Return name and port ("" when there is none, None when it is no port)."""
    if host.startswith("["):
        name, closing, rest = host.partition("]")
        name, rest = name + closing, rest
    else:
        name, colon, number = host.partition(":")
        rest = colon + number
    if not rest:
        return name, ""
    port = rest[1:]
    return name, port if rest[0] == ":" and port.isascii() and port.isdigit() else None


def is_this_computer(client: str, local: str) -> bool:
    """Return whether a connection comes from this computer, judged by its two addresses."""
    return client == local or is_loopback(client)


def check_origin(headers: RequestHeaders, allowed: Collection[str]) -> str | None:
    """Return the request's allowed origin, None if it has none; raises OriginNotAllowed."""
    origin = headers.get("Origin")
    if origin is None:
        # A browser that leaves Origin out (a form, an image) still says where the request comes from. Not every
        # Sec-Fetch header is a browser's: Node's fetch sends `sec-fetch-mode`.
        if headers.get("Sec-Fetch-Site", "").lower() in CROSS_SITES:
            raise OriginNotAllowed("another site's page")
        return None
    if not is_allowed(origin, allowed):
        raise OriginNotAllowed(repr(origin))
    return origin


def is_allowed(origin: str, allowed: Collection[str]) -> bool:
    """Return whether an Origin header's value is allowed."""
    try:
        parsed = parse_origin(origin)
    except ValueError:
        return False
    scheme, _, host = parsed.partition("://")
    if parsed in allowed or parsed in EDITOR_ORIGINS or scheme in EDITOR_SCHEMES:
        return True
    name, port = split_host(host)
    return scheme in DEFAULT_PORTS and port is not None and name in OWN_NAMES and is_loopback(name)


def check_content_type(headers: RequestHeaders, method: str) -> None:
    """Raise ContentTypeNotAllowed if a web page sends JSON with a content type that needs no preflight."""
    if method in ("POST", "PUT", "PATCH") and "Origin" in headers:
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ContentTypeNotAllowed(f"it came as {kind or 'nothing'}")
