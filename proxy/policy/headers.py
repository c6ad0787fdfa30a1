"""Decide which headers are passed on: all but those named here, in both directions.

Values are bytes, held as Latin-1 text, so that UTF-8 and anything else is passed on byte for byte.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol, overload

from proxy.http.headers import Headers
from proxy.identity import APP_ID, __version__

# What callers bring their key in, in the order in which it counts: OpenAI's, Azure's, Anthropic's, Google's SDKs.
KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
PROXY_KEY_HEADER = "X-Proxy-Api-Key"

# Of one connection alone (RFC 9110, section 7.6.1), and how a body is framed there.
OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NOT_TO_UPSTREAM = OF_THE_CONNECTION | {
    *KEY_HEADERS,
    PROXY_KEY_HEADER.lower(),
    "accept-encoding",  # the proxy reads the answer, so it chooses
    "cookie",
    "cookie2",
    "forwarded",
    "host",
    "origin",
    "referer",
    "via",
    "x-real-ip",
    # Another method or address than those the rules for this request were chosen by.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
}
NOT_TO_UPSTREAM_PREFIXES = ("access-control-", "proxy-", "sec-", "x-forwarded-", "x-proxy-")

UNDERSCORED = "proxy.underscored"  # environ key of the server's: headers whose names WSGI cannot tell from others
# What the proxy writes itself, from what it has read: another spelling beside it could be believed in its place.
REPLACED = frozenset({"content-type", "content-encoding", "user-agent", "accept"})

# What an upstream could steer a browser with: for it all upstreams, and this program's pages, are one site.
NOT_TO_CLIENT = OF_THE_CONNECTION | {
    "accept-ch",
    "activate-storage-access",
    "alt-svc",
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "date",  # the server here says its own
    "document-policy",
    "expect-ct",
    "feature-policy",
    "nel",
    "origin-agent-cluster",
    "permissions-policy",
    "public-key-pins",
    "public-key-pins-report-only",
    "referrer-policy",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "set-login",
    "sourcemap",
    "speculation-rules",
    "strict-transport-security",
    "timing-allow-origin",
    "x-content-security-policy",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-sourcemap",
    "x-webkit-csp",
}
NOT_TO_CLIENT_PREFIXES = ("x-proxy-", "access-control-", "cross-origin-", "proxy-", "sec-")
LOGIN = re.compile(r"(?:^|,)\s*(?:basic|digest|negotiate|ntlm)\b", re.IGNORECASE)  # browsers ask their user, or answer

EXPOSED_TO_PAGES = (
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",  # an SDK in a page goes by it as any other does
    "openai-processing-ms",
    "openai-version",
    "openai-model",
    *(f"x-ratelimit-{kind}-{what}" for kind in ("limit", "remaining", "reset") for what in ("requests", "tokens")),
)

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # no header may hold these; some servers send them
OUR_AGENT = f"{APP_ID}/{__version__}"


class RequestHeaders(Protocol):
    """A request's headers, looked up by name in any case."""

    @overload
    def get(self, key: str) -> str | None: ...

    @overload
    def get(self, key: str, default: str) -> str: ...

    def __contains__(self, key: str, /) -> bool: ...


def for_upstream(environ: Mapping[str, Any]) -> Headers:
    """Return a request's headers (a WSGI environment) for the upstream, our name appended to the user agent."""
    named = named_by(environ.get("HTTP_CONNECTION", ""))
    passed = [(name, environ[key]) for key in environ if (name := upstream_name(key)) and name not in named]
    passed += [pair for pair in environ.get(UNDERSCORED, ()) if may_go_up(pair[0], named)]
    return Headers((name, f"{value} {OUR_AGENT}" if name == "user-agent" else value) for name, value in passed if value)


def may_go_up(name: str, named: Collection[str]) -> bool:
    """Return whether a header with underscores goes upstream; they count as hyphens, as some servers read them."""
    as_hyphens = name.replace("_", "-")
    is_kept = as_hyphens in NOT_TO_UPSTREAM or as_hyphens.startswith(NOT_TO_UPSTREAM_PREFIXES)
    return not is_kept and as_hyphens not in REPLACED and name not in named and as_hyphens not in named


def upstream_name(environ_key: str) -> str | None:
    """Return the header of a WSGI environment key, None if it may not go upstream."""
    if not environ_key.startswith("HTTP_") and environ_key != "CONTENT_TYPE":
        return None
    name = environ_key.removeprefix("HTTP_").replace("_", "-").lower()
    return None if name in NOT_TO_UPSTREAM or name.startswith(NOT_TO_UPSTREAM_PREFIXES) else name


def for_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the upstream's headers for the client; names are in lower case."""
    headers = list(headers)
    named = named_by(",".join([value for name, value in headers if name == "connection"]))
    return Headers(
        [
            (name, value if value.isprintable() else CONTROL.sub("", value))
            for name, value in headers
            if name not in NOT_TO_CLIENT
            and name not in named
            and not name.startswith(NOT_TO_CLIENT_PREFIXES)
            and not (name == "www-authenticate" and LOGIN.search(value))
        ]
    )


def named_by(connection: str) -> frozenset[str]:
    """Return the headers that a Connection header names: they are hop-by-hop too."""
    return frozenset(name.strip().lower() for name in connection.split(",")) if connection else frozenset()
