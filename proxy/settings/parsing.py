"""Parse the values of settings: URLs, origins, lists, rules. Pure functions; each raises ValueError."""

import ipaddress
import json
import math
import re
import socket
from urllib.parse import urlsplit

# What a version segment looks like: v1, v2, v1beta. An upstream that has one is not given a second.
VERSION = re.compile(r"v\d+\w*", re.IGNORECASE)
# Full endpoints that people paste as a base URL, to us and as ours.
PASTED_ENDPOINTS = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/rerank",
    "/moderations",
    "/messages",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/images/generations",
    "/images/edits",
    "/images/variations",
)
ALWAYS_VERSIONED = frozenset({"api.openai.com"})  # a pasted endpoint that lacks the version was typed by hand
WHOLE_MARK = "#"  # behind a base URL: it is whole, no version is appended
IN_NO_URL = re.compile(r"[\s\\\x00-\x1f\x7f]")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
ORIGIN_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^/?#@*,\s\\:\[\]]+)(:[0-9]{1,5})?", re.IGNORECASE)
PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEY_LIMITS = {"day_usd", "month_usd", "day_tokens", "month_tokens"}
LONGEST_SHOWN = 200
NUMBERS = re.compile(r"[0-9a-fx.]+")  # of an address: decimal, octal after a 0, hexadecimal after 0x
DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Return whether a host name or address always means this computer."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return without_mapping(ipaddress.ip_address(name)).is_loopback
    except ValueError:
        return False


def stays_on_this_computer(host: str) -> bool:
    """Return whether a connection to a host ends on this computer, so that no network proxy may be used.

    Beside what `is_loopback` knows these are the names below localhost (RFC 6761, 6.3), the address that stands for all
    of a computer's own, and the short and odd forms in which the system's resolver takes an address: `127.1`, `0x7f.1`.
    """
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = without_mapping(ipaddress.ip_address(name))
    except ValueError:
        if NUMBERS.fullmatch(name) is None:
            return False
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except OSError:
            return False
    return address.is_loopback or address.is_unspecified


def without_mapping(address: Address) -> Address:
    """Return the IPv4 address in an IPv4-mapped IPv6 address (`::ffff:127.0.0.1`), any other unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def split_commas(value: object) -> object:
    """Split `a, b` at its commas; a list (from the file) stays a list."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


def parse_key(value: object) -> object:
    """Trim spaces, quotes and line ends pasted with a key; refuse a value that cannot be a key."""
    if not isinstance(value, str):
        return value
    key = value.strip().strip("\"'").strip()
    if not key.isprintable() or not key.isascii() or " " in key:
        raise ValueError("a key is one word of printable ASCII characters")
    return key or None


def parse_keys(value: object) -> object:
    """Trim each of the keys, separated by commas or in a list, as `parse_key` does."""
    keys = split_commas(value)
    return tuple(key for key in map(parse_key, keys) if key) if isinstance(keys, (tuple, list)) else keys


def refuse_bool(value: object) -> object:
    """Refuse true and false for a number: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("this is no number")  # noqa: TRY004  pydantic turns ValueError into its own
    return value


def cut(text: str) -> str:
    """Return a text, shortened for display."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def parse_level(value: object) -> object:
    """Accept a log level in any case, and WARN for WARNING."""
    if not isinstance(value, str):
        return value
    level = value.strip().upper()
    return "WARNING" if level == "WARN" else level


def parse_upstream_url(url: str, *, is_complete: bool = False) -> str:
    """Return the normalised base URL: scheme, host, path with a version, no slash at the end; raises ValueError.

    A URL that ends with an endpoint which upstreams serve with and without a version is not changed, and neither is one
    that ends with WHOLE_MARK.
    """
    url = url.strip()
    if IN_NO_URL.search(url):
        raise ValueError("it holds a character no address has")
    is_whole = url.endswith(WHOLE_MARK)
    parts = urlsplit(url.removesuffix(WHOLE_MARK))
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("it must begin with https:// (or http://) and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("it must hold no user name, query or fragment")
    _ = parts.port  # raises ValueError when it is no number
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    if is_whole:
        return f"{parts.scheme}://{parts.netloc.lower()}{path}"
    without_endpoint = cut_tails(path, PASTED_ENDPOINTS)
    if is_complete:
        return f"{parts.scheme}://{parts.netloc.lower()}{without_endpoint}"
    # Some upstreams have `/models` in their base: only a version before it says that it lists the models.
    is_believed = without_endpoint != path and parts.hostname not in ALWAYS_VERSIONED
    if has_version(without_endpoint) or not is_believed:
        without_endpoint = cut_tails(without_endpoint, (*PASTED_ENDPOINTS, "/models"))
    path = re.sub(r"(/v1)+$", "/v1", without_endpoint, flags=re.IGNORECASE)
    if not is_believed and not has_version(path):
        path += "/v1"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def has_version(path: str) -> bool:
    """Return whether a path segment is a version, such as `v1`."""
    return any(VERSION.fullmatch(segment) for segment in path.split("/"))


def cut_tails(path: str, tails: tuple[str, ...]) -> str:
    """Return a path without the endpoints at its end."""
    while tail := next((tail for tail in tails if path.lower().endswith(tail)), ""):
        path = path[: -len(tail)]
    return path


def parse_origin(origin: str) -> str:
    """Return an origin as browsers serialize it; raises ValueError for `null`, file: and wildcards."""
    text = origin.strip().rstrip("/")
    scheme, separator, host = text.partition("://")
    if not separator or not SCHEME.fullmatch(scheme) or not ORIGIN_HOST.fullmatch(host) or scheme.lower() == "file":
        raise ValueError(f"{origin!r} is not one exact origin")
    scheme, host = scheme.lower(), host.lower()
    default = DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host.removesuffix(f':{default}') if default else host}"


def parse_json(value: object) -> object:
    """Parse JSON text; any other value (a table of the file) stays as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"this is not JSON ({error})") from error


def parse_prices(value: object) -> object:
    """Read the prices by model, in US dollars per million tokens, from JSON text or a table; raises ValueError."""
    value = parse_json(value)
    for price in value.values() if isinstance(value, dict) else ():
        if not isinstance(price, dict) or not {"input", "output"} <= price.keys() <= {"input", "cached", "output"}:
            raise ValueError("a price names input and output, and may name cached")
        for each in price.values():
            if isinstance(each, bool) or not isinstance(each, (int, float)) or not 0 <= each < math.inf:
                raise ValueError("a price is a number from 0")
    return value


def parse_key_limits(value: object) -> object:
    """Read what each proxy key may use in a day or a month, from JSON text or a table; raises ValueError."""
    value = parse_json(value)
    for limits in value.values() if isinstance(value, dict) else ():
        if not isinstance(limits, dict) or not limits or not limits.keys() <= KEY_LIMITS:
            raise ValueError(f"a key's limits are some of {', '.join(sorted(KEY_LIMITS))}")
        for each in limits.values():
            if isinstance(each, bool) or not isinstance(each, (int, float)) or not 0 <= each < math.inf:
                raise ValueError("a limit is a number from 0")
    return value


def fold_name(name: str) -> str:
    """Return the canonical form of a parameter's name: the same for every spelling that some upstream accepts.

    Go's servers match names without case, as Unicode folds it, Java's take both Turkish letters for an `i`; what reads
    with protobuf, as Google's does, takes `topP` for `top_p`; C's texts end at a zero byte.
    """
    folded = name.lower() if name.isascii() else name.casefold().replace("i\u0307", "i").replace("\u0131", "i")
    if "\0" in folded:
        folded = folded.partition("\0")[0]
    if "_" in folded:
        inner = folded.strip("_")
        folded = folded.replace(inner, inner.replace("_", ""))
    return folded
