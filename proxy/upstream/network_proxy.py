"""The network's own proxy, where the way to an upstream leads through one: which it is, and what its trouble is called.

Imports nothing heavy. Its login stays out of the address that HTTP clients are given: they write it into errors.
"""

import ipaddress
import os
import re
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote_to_bytes, urlsplit

from proxy.errors.upstream import NetworkProxyAuth, NetworkProxyRefused, NetworkProxyUnreachable, UpstreamFailure
from proxy.settings.parsing import stays_on_this_computer, without_mapping

DEFAULT_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
SPOKEN = "http, https, socks4, socks4a, socks5 and socks5h"
KNOWN_SCHEMES = frozenset(("socks", "ftp", "quic", "ssh", "ws", "wss"))
MAX_SOCKS_LOGIN_BYTES = 255  # RFC 1929
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{0,5}))?")
FOUR_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NO_ANSWER = "closed the connection without an answer"
NO_HTTP = "gave an answer that is no HTTP"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
AUTHORIZATION = "Proxy-Authorization"
AUTH_REQUIRED = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED


@dataclass(frozen=True)
class ProxyVariable:
    """A variable that names the network's proxy for an upstream, as it was set."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class NetworkProxy:
    """The network's proxy on the way to an upstream."""

    variable: str
    scheme: str
    host: str
    port: int
    url: str  # without its login
    authorization: str | None = field(repr=False)  # the value of its header, where there is a login
    login: tuple[str, str] | None = field(default=None, repr=False)  # user and password, of a SOCKS proxy

    @classmethod
    def of(cls, variable: ProxyVariable) -> "NetworkProxy":
        """Read an address as people write it; raises NetworkProxyUnreachable where it cannot be one.

        The login ends at the last @, whatever it holds, and is percent-decoded. Without a scheme it is http.
        """
        value = variable.value.strip()
        found = SCHEME.fullmatch(value)
        scheme, rest = (found[1].lower(), found[2]) if found else ("http", value)
        if scheme not in DEFAULT_PORTS:
            told = f"{scheme}://" if scheme in KNOWN_SCHEMES else "a scheme that no proxy has"
            raise NetworkProxyUnreachable(f"{variable.name} begins with {told}; {SPOKEN} are spoken here")
        login, at, address = rest.rpartition("@")
        host, port = read_host(re.split(r"[/?#]", address, maxsplit=1)[0], variable.name)
        if CONTROL.search(value):
            raise unusable(variable.name)
        is_socks = scheme.startswith("socks")
        return cls(
            variable=variable.name,
            scheme=scheme,
            host=host.strip("[]"),
            port=port if port is not None else DEFAULT_PORTS[scheme],
            url=f"{scheme}://{host}{f':{port}' if port is not None else ''}",
            authorization=basic(login) if at and not is_socks else None,
            login=socks_login(login, variable.name) if at and is_socks else None,
        )

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def is_tls(self) -> bool:
        """Whether the proxy itself is spoken to over TLS."""
        return self.url.startswith("https:")

    def __str__(self) -> str:
        where = self.url.partition("://")[2]
        return f"{where} ({self.variable})"

    def refusal(self, status: int) -> UpstreamFailure:
        """Return what to say of a proxy that answered with a status of its own, in our words: its may name the user."""
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        kind = NetworkProxyAuth if status == AUTH_REQUIRED else NetworkProxyRefused
        return kind(f"{self} answered {status} {phrase}".rstrip())


def find_network_proxy(url: str) -> ProxyVariable | None:
    """Return what names the network's proxy for a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or the system's settings.

    None where there is none, where NO_PROXY names the host, and for what stays on this computer: that is no network's.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if stays_on_this_computer(host) or is_excepted(host, parts.port or DEFAULT_PORTS.get(parts.scheme)):
        return None
    if not urllib.request.getproxies_environment() and urllib.request.proxy_bypass(parts.netloc):
        return None  # the system's own exceptions; those of the environment are read above, as curl does
    proxies = urllib.request.getproxies()
    for scheme in (parts.scheme, "all"):
        if value := proxies.get(scheme, "").strip():
            return ProxyVariable(name_of(scheme, value), value)
    return None


def passed_over(host: str) -> str:
    """Return a sentence's end that tells of a proxy which is not asked, because the way ends on this computer."""
    for name, value in os.environ.items() if stays_on_this_computer(host) else ():
        if name.lower() in VARIABLES and value.strip():
            found = SCHEME.fullmatch(value.strip())
            scheme = found[1].lower() if found and found[1].lower() in DEFAULT_PORTS else "network"
            return f" (asked directly: the {scheme} proxy in {name} is none for what runs on this computer)"
    return ""


def is_excepted(host: str, port: int | None) -> bool:
    """Tell whether NO_PROXY names a host: by name, by suffix, by address, by a block of addresses, with a port or not.

    As curl reads it: lower case goes before, names match all below them, with or without a dot in front.
    """
    named = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    return any(matches(entry, host.lower().rstrip("."), port) for entry in re.split(r"[,\s]+", named) if entry)


def matches(entry: str, host: str, port: int | None) -> bool:
    """Tell whether one entry of NO_PROXY names a host."""
    name = entry.lower()
    if name == "*":
        return True
    with_port = re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", name)
    if with_port is not None:
        if int(with_port[2]) != port:
            return False
        name = with_port[1]
    name = name.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return without_mapping(address) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def name_of(scheme: str, value: str) -> str:
    """Return the variable's name as it is written in the environment; lower case goes before."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy" and os.environ[name].strip() == value]
    return max(names, default="the system's proxy settings")


def read_host(address: str, variable: str) -> tuple[str, int | None]:
    """Return host and port of an address without login; raises NetworkProxyUnreachable."""
    match = HOST_AND_PORT.fullmatch(address)
    port = int(match[2]) if match and match[2] else None
    if match is None or (port is not None and not 0 < port < 2**16):
        raise unusable(variable)
    try:
        if match[1].startswith("["):
            return f"[{ipaddress.IPv6Address(match[1][1:-1])}]", port
        if FOUR_NUMBERS.fullmatch(match[1]):
            return str(ipaddress.IPv4Address(match[1])), port
        return match[1].lower().encode("idna").decode(), port
    except ValueError as error:
        raise unusable(variable) from error


def unusable(variable: str) -> NetworkProxyUnreachable:
    """Return what to say of a value that is no address; the value is not in it."""
    return NetworkProxyUnreachable(f"{variable} holds no address such as http://proxy.example:3128")


def basic(login: str) -> str:
    """Return the header's value for a login (RFC 7617), percent-decoded as in any URL."""
    user, _, password = login.encode("utf-8", "surrogateescape").partition(b":")
    return f"Basic {b64encode(unquote_to_bytes(user) + b':' + unquote_to_bytes(password)).decode()}"


def socks_login(login: str, variable: str) -> tuple[str, str]:
    """Return user and password for a SOCKS proxy, percent-decoded; raises NetworkProxyUnreachable."""
    raw_user, _, raw_password = login.encode("utf-8", "surrogateescape").partition(b":")
    user, password = unquote_to_bytes(raw_user), unquote_to_bytes(raw_password)
    if not (user.isascii() and password.isascii()) or max(len(user), len(password)) > MAX_SOCKS_LOGIN_BYTES:
        raise NetworkProxyUnreachable(
            f"the login in {variable} is none for a SOCKS proxy: it must be ASCII, and no longer than 255 characters"
        )
    return user.decode("ascii"), password.decode("ascii")
