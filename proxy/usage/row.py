"""Turn a finished request into a row of the ledger: names, numbers and times, no text and no key."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from proxy.flow.flow import Flow, Outcome, Usage
from proxy.usage.prices import Prices, cost_of

BYTES_PER_TOKEN = 4  # of text, roughly, in English and in code
BYTES_PER_EVENT = 250  # of a stream, roughly; most events carry one token
SWITCHING_PROTOCOLS = 101
SILENT_S = 15.0
MAX_TEXT = 256  # characters of a name
MAX_INTEGER = 2**63 - 1
UNFINISHED = (Outcome.CUT, Outcome.CANCELLED, Outcome.TIMED_OUT, Outcome.STOPPED)

COLUMNS = (
    *("id", "began_at", "client", "key_name", "method", "endpoint", "model_asked", "model_sent", "upstream", "status"),
    *("outcome", "attempts", "first_byte_s", "duration_s", "input_tokens", "cached_tokens", "cache_written_tokens"),
    *("output_tokens", "reasoning_tokens", "is_estimated", "bytes_up", "bytes_down", "tool_rounds", "repairs"),
    *("cost_usd", "price_source", "no_done", "error_inside", "silent", "lost_tokens", "lost_usd"),
)

Row = tuple[Any, ...]  # in the order of the columns
Missed = Callable[[Flow], tuple[int, float | None] | None]  # tokens that the cache missed, and what they cost more


def reader(*names: str) -> Callable[[Row], tuple[Any, ...]]:
    """Return a function that reads the named columns (at least two) of a row."""
    return itemgetter(*map(COLUMNS.index, names))


def row_of(flow: Flow, prices: Prices, missed: Missed = lambda _: None) -> Row:
    """Return a flow as a row of the ledger."""
    usage = flow.usage or estimate(flow)
    usd, source = cost_of(usage, flow.model_sent or flow.model_asked, flow.upstream_host, prices)
    tokens = (
        (None,) * 5
        if usage is None
        else (
            *(usage.input_tokens, usage.cached_tokens, usage.cache_written_tokens),
            *(usage.output_tokens, usage.reasoning_tokens),
        )
    )
    lost_tokens, lost_usd = missed(flow) or (None, None)
    return (
        *(flow.id, flow.began_at, flow.client, flow.key_name, flow.method, flow.path.split("?", 1)[0]),
        *(flow.model_asked, flow.model_sent, flow.upstream, flow.status),
        *((flow.outcome or Outcome.FAILED).name.lower(), flow.attempts, flow.first_byte_s, flow.last_byte_s),
        *(*tokens, usage is not None and flow.usage is None, flow.bytes_up, flow.bytes_down),
        *(len(flow.tool_rounds), len(flow.repairs), usd, source),
        *("no_done" in flow.faults, "error_inside" in flow.faults, was_silent(flow), lost_tokens, lost_usd),
    )


def without_keys(rows: list[Row], hide: Callable[[str], str]) -> list[Row]:
    """Return the rows without any key, in types that SQLite can store."""
    texts = "\0".join([value for row in rows for value in row if isinstance(value, str)])
    if hide(texts) != texts:  # looked at together: most batches hold no key
        rows = [tuple(hide(value) if isinstance(value, str) else value for value in row) for row in rows]
    return [row if fits(row) else tuple(map(stored, row)) for row in rows]


def fits(row: Row) -> bool:
    """Return whether SQLite can store a row unchanged, which is the usual case."""
    for value in row:
        if isinstance(value, str):
            if len(value) > MAX_TEXT or not value.isascii():
                return False
        elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            return False
    return True


def was_silent(flow: Flow) -> bool:
    """Return whether the upstream was silent for so long that some clients give up."""
    if flow.model_asked is None or not flow.attempts:
        return False
    waited_s = flow.last_byte_s if flow.first_byte_s is None else flow.first_byte_s
    return "silent" in flow.faults or (waited_s or 0.0) > SILENT_S


def stored(value: Any) -> Any:
    """Return a value as SQLite can store it: clients and upstreams may send any text and any number."""
    if isinstance(value, str):
        return value[:MAX_TEXT].encode("utf-8", "replace").decode()
    return max(-MAX_INTEGER, min(value, MAX_INTEGER)) if isinstance(value, int) else value


def estimate(flow: Flow) -> Usage | None:
    """Return the estimated usage of an unfinished answer, None if none had begun."""
    if flow.outcome not in UNFINISHED or not flow.bytes_down or flow.status in (None, SWITCHING_PROTOCOLS):
        return None
    if flow.model_asked is None:
        return None
    return Usage(flow.bytes_up // BYTES_PER_TOKEN, max(1, flow.bytes_down // BYTES_PER_EVENT))
