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
from proxy.settings.parsing import stays_on_this_computer

SPOKEN = ("http", "https")
KNOWN_SCHEMES = frozenset(("socks", "socks4", "socks4a", "socks5", "socks5h", "ftp", "quic", "ssh", "ws", "wss"))
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{0,5}))?")
FOUR_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
NO_ANSWER = "closed the connection without an answer"
NO_HTTP = "gave an answer that is no HTTP"
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
    host: str
    port: int | None
    url: str  # without its login
    authorization: str | None = field(repr=False)  # the value of its header, where there is a login

    @classmethod
    def of(cls, variable: ProxyVariable) -> "NetworkProxy":
        """Read an address as people write it; raises NetworkProxyUnreachable where it cannot be one.

        The login ends at the last @, whatever it holds, and is percent-decoded. Without a scheme it is http.
        """
        value = variable.value.strip()
        found = SCHEME.fullmatch(value)
        scheme, rest = (found[1].lower(), found[2]) if found else ("http", value)
        if scheme not in SPOKEN:
            told = f"{scheme}://" if scheme in KNOWN_SCHEMES else "a scheme that no proxy has"
            raise NetworkProxyUnreachable(f"{variable.name} begins with {told}; http:// and https:// are spoken here")
        login, at, address = rest.rpartition("@")
        host, port = read_host(re.split(r"[/?#]", address, maxsplit=1)[0], variable.name)
        if CONTROL.search(value):
            raise unusable(variable.name)
        return cls(
            variable=variable.name,
            host=host.strip("[]"),
            port=port,
            url=f"{scheme}://{host}{f':{port}' if port is not None else ''}",
            authorization=basic(login) if at else None,
        )

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
    if stays_on_this_computer(parts.hostname or "") or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    for scheme in (parts.scheme, "all"):
        if value := proxies.get(scheme, "").strip():
            return ProxyVariable(name_of(scheme, value), value)
    return None


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
