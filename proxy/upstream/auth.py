"""How an upstream is shown its key, and what the user adds to each request for it. Pure functions."""

from collections.abc import Mapping
from urllib.parse import quote

from proxy.settings.upstreams import KEY_PLACE
from proxy.upstream.options import UpstreamOptions

AUTHORIZATION = "authorization"


def with_key(headers: Mapping[str, str], options: UpstreamOptions, key: str) -> dict[str, str]:
    """Return a request's headers, names in lower case, with the key in the form the upstream takes.

    `headers` are those of the SDK, which shows the key as a Bearer token. Without a key nothing is shown.
    """
    dressed = dict(headers)
    # The SDK reads these from variables of its own, which no setting here knows, and which mean one provider.
    for name, chosen in (("openai-organization", options.organization), ("openai-project", options.project)):
        if chosen is None:
            dressed.pop(name, None)
    if not key or options.auth == "none":
        dressed.pop(AUTHORIZATION, None)
    elif options.auth != "bearer":
        dressed.pop(AUTHORIZATION, None)
        dressed[options.auth] = key
    for name, value in options.headers:
        if key or KEY_PLACE not in value:
            dressed[name.lower()] = value.replace(KEY_PLACE, key)
    return dressed


def with_query(query: str, options: UpstreamOptions, key: str) -> str:
    """Return a request's query, encoded, with what the upstream's address has in its own."""
    added = "&".join(
        f"{quote(name, safe='')}={quote(value.replace(KEY_PLACE, key), safe='')}" for name, value in options.query
    )
    return "&".join(part for part in (query, added) if part)
