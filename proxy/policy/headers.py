"""Which headers travel: from the caller to the upstream, and from the upstream back. Allow-lists, both ways."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol, overload

from proxy.http.headers import Headers
from proxy.identity import APP_ID, __version__

TO_UPSTREAM = frozenset(
    {
        "accept",
        "accept-language",
        "content-type",
        "content-encoding",
        "http-referer",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "range",
        "user-agent",
        "x-client-request-id",
        "x-title",
    }
)
TO_UPSTREAM_PREFIXES = ("x-stainless-",)

TO_CLIENT = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)
TO_CLIENT_PREFIXES = ("openai-", "x-ratelimit-")

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
    """Return what of a request's headers (its WSGI environment) goes upstream, the user agent with ours appended."""
    passed = [(name, environ[key]) for key in environ if (name := upstream_name(key))]
    return Headers((name, f"{value} {OUR_AGENT}" if name == "user-agent" else value) for name, value in passed if value)


@lru_cache(maxsize=1024)
def upstream_name(environ_key: str) -> str | None:
    """Return the header that an environment key stands for, where it may go upstream."""
    name = environ_key.removeprefix("HTTP_").replace("_", "-").lower()
    is_header = environ_key.startswith("HTTP_") or environ_key == "CONTENT_TYPE"
    return name if is_header and (name in TO_UPSTREAM or name.startswith(TO_UPSTREAM_PREFIXES)) else None


def for_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return what of the upstream's headers, names in lower case, goes to the client."""
    return Headers(
        (name, value if value.isprintable() else CONTROL.sub("", value))
        for name, value in headers
        if name in TO_CLIENT or name.startswith(TO_CLIENT_PREFIXES)
    )
