"""A request as one row: what a list shows of it, with unknown values as None. Prices make this a worker thread's."""

import time
from typing import Any

from proxy.capture.record import Record
from proxy.flow.flow import Flow, Outcome, Usage
from proxy.usage.prices import Prices, cost_of
from proxy.usage.row import estimate

Row = dict[str, Any]

COST_PLACES = 8
TIME_PLACES = 4
SHORTEST_STREAM_S = 0.05
RUNNING = "running"
TOKEN_NAMES = ("input_tokens", "cached_tokens", "cache_written_tokens", "output_tokens", "reasoning_tokens")


def row_of(record: Record, prices: Prices) -> Row:
    """Return a request as a row."""
    flow = record.flow
    usage = flow.usage or (estimate(flow) if flow.outcome else None)
    cost = cost_of(usage, flow.model_sent or flow.model_asked, flow.upstream_host, prices)
    duration_s = flow.last_byte_s if flow.last_byte_s is not None else time.monotonic() - flow.began
    return {
        "id": flow.id,
        "started": round(flow.began_at, 3),
        "client": flow.client,
        "key": flow.key_name,
        "method": flow.method,
        "endpoint": flow.path.split("?", 1)[0],
        "model_asked": flow.model_asked,
        "model_sent": flow.model_sent,
        "upstream": flow.upstream,
        "status": flow.status,
        **ending(flow),
        "attempts": flow.attempts,
        "first_byte_s": rounded(flow.first_byte_s),
        "duration_s": rounded(duration_s),
        "tokens_per_s": tokens_per_s(flow, usage),
        "input_tokens": usage and usage.input_tokens,
        "cached_tokens": usage and usage.cached_tokens,
        "cache_written_tokens": usage and usage.cache_written_tokens,
        "output_tokens": usage and usage.output_tokens,
        "reasoning_tokens": usage and usage.reasoning_tokens,
        "is_estimated": usage is not None and flow.usage is None,
        "cost_usd": None if cost.usd is None else round(cost.usd, COST_PLACES),
        "price_source": cost.source,
        "bytes_up": flow.bytes_up,
        "bytes_down": flow.bytes_down,
        "tool_rounds": len(flow.tool_rounds),
        "rules": list(flow.rules),
        "repairs": list(flow.repairs),
        "is_captured": record.is_captured,
        "is_on_disk": False,  # of what is held, that makes no difference
    }


def ending(flow: Flow) -> Row:
    """Return how a request ended, as a name and in words; one that goes on is "running"."""
    if flow.outcome is None:
        return {"outcome": RUNNING, "outcome_words": RUNNING, "error": None, "fell_back": has_fallen_back(flow)}
    by_user = flow.is_cancelled and flow.outcome is Outcome.CANCELLED
    return {
        "outcome": flow.outcome.name.lower(),
        "outcome_words": "cancelled by you" if by_user else flow.outcome.value,
        "error": None if flow.failure is None else str(flow.failure),
        "fell_back": has_fallen_back(flow),
    }


def has_fallen_back(flow: Flow) -> bool:
    """Tell whether another upstream than the first of its chain was asked."""
    return any(repair.startswith("fell back") for repair in flow.repairs)


def progress_of(flow: Flow) -> Row:
    """Return what changes of a row while its answer comes."""
    return {
        "id": flow.id,
        "bytes_up": flow.bytes_up,
        "bytes_down": flow.bytes_down,
        "first_byte_s": rounded(flow.first_byte_s),
        "duration_s": rounded(time.monotonic() - flow.began),
    }


def ledger_row(stored: Row) -> Row:
    """Return a row of the ledger in the same form; what the ledger does not hold is None."""
    outcome = stored["outcome"]
    words = Outcome[outcome.upper()].value if outcome.upper() in Outcome.__members__ else outcome
    return {
        "id": stored["id"],
        "started": round(stored["began_at"], 3),
        "client": stored["client"],
        "key": stored["key_name"],
        **{name: stored[name] for name in ("method", "endpoint", "model_asked", "model_sent", "upstream", "status")},
        "outcome": outcome,
        "outcome_words": words,
        "error": None,
        "fell_back": None,
        "attempts": stored["attempts"],
        "first_byte_s": rounded(stored["first_byte_s"]),
        "duration_s": rounded(stored["duration_s"]),
        "tokens_per_s": rate(stored["output_tokens"], stored["first_byte_s"], stored["duration_s"]),
        **{name: stored[name] for name in TOKEN_NAMES},
        "is_estimated": bool(stored["is_estimated"]),
        "cost_usd": None if stored["cost_usd"] is None else round(stored["cost_usd"], COST_PLACES),
        "price_source": stored["price_source"],
        **{name: stored[name] for name in ("bytes_up", "bytes_down", "tool_rounds")},
        "rules": None,
        "repairs": None,
        "cache_miss": None,
        "is_captured": False,
        "is_on_disk": False,
    }


def tokens_per_s(flow: Flow, usage: Usage | None) -> float | None:
    """Return how fast the answer came once it had begun."""
    return rate(usage and usage.output_tokens, flow.first_byte_s, flow.last_byte_s)


def rate(tokens: int | None, first_byte_s: float | None, last_byte_s: float | None) -> float | None:
    """Return the tokens a second, None where that cannot be told: a whole answer comes at once."""
    if not tokens or first_byte_s is None or last_byte_s is None or last_byte_s - first_byte_s < SHORTEST_STREAM_S:
        return None
    return round(tokens / (last_byte_s - first_byte_s), 1)


def rounded(seconds: float | None) -> float | None:
    """Return seconds to a tenth of a millisecond."""
    return None if seconds is None else round(seconds, TIME_PLACES)
