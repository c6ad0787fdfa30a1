"""Price requests, in US dollars: the user's price, zero for a local upstream, else the price table."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from proxy.flow.flow import Usage
from proxy.settings.parsing import is_loopback

Prices = Mapping[str, Mapping[str, float]]  # by model: USD for a million tokens of "input", "cached" and "output"

PER_TOKENS = 1_000_000


class Cost(NamedTuple):
    """A cost in US dollars and the source of its price; both None if the price is unknown, which is not zero."""

    usd: float | None = None
    source: str | None = None


UNKNOWN = Cost()


def cost_of(usage: Usage | None, model: str | None, upstream: str | None, own: Prices) -> Cost:
    """Return the cost of tokens. It imports the price table: on the ledger's thread only."""
    if usage is None or model is None:
        return UNKNOWN
    if model in own:
        return Cost(own_cost(usage, own[model]), "settings")
    if upstream is not None and is_local(upstream):
        return Cost(0.0, "local")
    return table_cost(usage, model, upstream)


def own_cost(usage: Usage, price: Mapping[str, float]) -> float:
    """Return the cost at the user's price; without a price for cached tokens they cost as much as others."""
    full, cached = usage.input_tokens - usage.cached_tokens, usage.cached_tokens
    whole = full * price["input"] + cached * price.get("cached", price["input"]) + usage.output_tokens * price["output"]
    return whole / PER_TOKENS


def table_cost(usage: Usage, model: str, upstream: str | None) -> Cost:
    """Return the cost by the built-in price table; the network is not used."""
    import genai_prices  # noqa: PLC0415  costs a moment and some memory, and the requests must not wait for it

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_written_tokens,
        output_tokens=usage.output_tokens,
    )
    try:
        price = genai_prices.calc_price(counted, model, provider_api_url=f"https://{upstream}" if upstream else None)
    except (LookupError, ValueError):  # a model or provider that it does not know, counts that contradict each other
        return UNKNOWN
    return Cost(float(price.total_price), "genai-prices")


@lru_cache(maxsize=64)  # the user's upstreams
def is_local(upstream: str) -> bool:
    """Return whether an upstream, given as host and port, is on this computer."""
    host = upstream.rsplit(":", 1)[0] if upstream.count(":") == 1 else upstream
    host = host.split("]", 1)[0].strip("[]")
    return is_loopback(host) or host.endswith(".localhost")
