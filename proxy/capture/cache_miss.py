"""Why the upstream's prompt cache did not serve what it could have: one sentence, and only where money was lost.

Caches hold the beginnings of prompts, in the order tools, system text, messages. So a request is compared with the
client's last one of the same conversation. A new conversation is no miss, nor is a prompt too short for any cache.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proxy.capture import bodies
from proxy.capture.capture import Capture
from proxy.capture.conversation import RESPONSES, listed
from proxy.capture.record import Record
from proxy.flow.flow import Flow, Usage
from proxy.usage.prices import Prices, cost_of, is_local

BYTES_PER_TOKEN = 4
MIN_PREFIX_TOKENS = 1_024  # no upstream's cache holds less
SERVED = 0.5  # of what could have been cached: with so much of it there is nothing to tell
IDLE_S = 300.0  # after which upstreams forget; some earlier, some later
TIME_LIKE = re.compile(r"\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}|\d{10}")
AROUND = 24  # characters to either side of a difference that are looked at


@dataclass(frozen=True)
class Segment:
    """One piece of a prompt: what it is, its hash and its size."""

    name: str
    digest: bytes
    size_bytes: int


@dataclass(frozen=True)
class Fingerprint:
    """A prompt as its pieces, in the order in which caches see it."""

    tools: Segment
    system: Segment
    messages: tuple[Segment, ...]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Return all of them in order."""
        return (self.tools, self.system, *self.messages)

    def size_bytes(self, count: int | None = None) -> int:
        """Return the size of the first pieces, of all where no number is given."""
        return sum(segment.size_bytes for segment in self.segments[:count])


def fingerprint_of(record: Record) -> Fingerprint | None:
    """Return a request's fingerprint, kept with it; None where its body is not held or no conversation."""
    if record.fingerprint is None:
        fields, api = bodies.sent_fields(record), bodies.api_of(record)
        if fields is None or not isinstance(fields.get("input" if api == RESPONSES else "messages"), list | str):
            return None
        tools, system, messages = pieces_of(fields, api)
        record.fingerprint = Fingerprint(
            segment("tools", tools),
            segment("system", system),
            tuple(segment(f"message {place}", each) for place, each in enumerate(messages, 1)),
        )
    found: Fingerprint = record.fingerprint
    return found


def pieces_of(fields: dict[str, Any], api: str) -> tuple[Any, list[Any], list[Any]]:
    """Return tools, the pieces of the system text, and messages of a request's JSON."""
    tools = fields.get("tools") or fields.get("functions") or []
    system = listed(fields.get("instructions") if api == RESPONSES else fields.get("system"))
    messages = listed(fields.get("input") if api == RESPONSES else fields.get("messages"))
    first = next((place for place, each in enumerate(messages) if not is_system(each)), len(messages))
    return tools, [*system, *messages[:first]], messages[first:]


def is_system(said: Any) -> bool:
    """Tell whether a message is the system's."""
    return isinstance(said, dict) and said.get("role") in ("system", "developer")


def segment(name: str, value: Any) -> Segment:
    """Return a piece of a prompt; where Claude's API is told to cache is no part of what is cached."""
    text = plain_json(value)
    return Segment(name, hashlib.blake2b(text, digest_size=16).digest(), len(text) if value else 0)


def plain_json(value: Any) -> bytes:
    """Return a value as JSON without the marks of where a cache is to end."""
    return json.dumps(without_marks(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def without_marks(value: Any) -> Any:
    """Return a value without marks for caching."""
    if isinstance(value, dict):
        return {name: without_marks(member) for name, member in value.items() if name != "cache_control"}
    return [without_marks(each) for each in value] if isinstance(value, list) else value


def explain(record: Record, held: Sequence[Record], prices: Prices) -> dict[str, Any] | None:
    """Return why money was lost, None where none was or nobody can tell. In a worker thread: it may read the prices."""
    flow, usage = record.flow, record.flow.usage
    if usage is None or flow.upstream_host is None or is_local(flow.upstream_host):
        return None
    if not any(is_like(flow, each.flow) and each.flow.began < flow.began for each in held):
        return None  # before the prompt is read
    own = fingerprint_of(record)
    if own is None:
        return None
    earlier = last_of_conversation(record, own, held)
    if earlier is None:
        return None
    before = fingerprint_of(earlier)
    assert before is not None  # noqa: S101  it was found by it
    could = tokens_of(earlier, before)
    lost = could - usage.cached_tokens
    if could < MIN_PREFIX_TOKENS or usage.cached_tokens >= could * SERVED:
        return None
    kind, words = difference(record, own, earlier, before)
    if kind in ("idle", "missed") and not any(is_like(flow, each.flow) and caches(each.flow) for each in held):
        return None  # this upstream may have no cache at all
    usd = lost_usd(lost, flow, prices)
    more = "" if usd is None else f", {dollars(usd)} more"
    return {
        "kind": kind,
        "sentence": f"{words}: {thousands(lost)} tokens at full price{more}.",
        "lost_tokens": lost,
        "lost_usd": usd,
        "cached_tokens": usage.cached_tokens,
        "earlier": earlier.flow.id,
        "common_segments": common(own, before),
    }


def explained(record: Record, held: Sequence[Record], prices: Prices) -> dict[str, Any] | None:
    """Return the same, worked out once when the request is over; None before."""
    if record.cache_miss is None and record.flow.outcome is not None:
        record.cache_miss = (explain(record, held, prices),)
    return record.cache_miss[0] if record.cache_miss else None


def missed_of(capture: Capture, flow: Flow, prices: Prices) -> tuple[int, float | None] | None:
    """Return the tokens that the cache missed and what they cost more; None where it served what it could.

    Most requests are done with at once: the prompt is read only where the upstream read little of it from its cache.
    """
    usage = flow.usage
    if usage is None or usage.input_tokens < MIN_PREFIX_TOKENS or usage.cached_tokens >= usage.input_tokens * SERVED:
        return None
    record = capture.find(flow.id)
    if record is None or not record.is_captured:
        return None
    missed = explained(record, capture.all(), prices)
    return None if missed is None else (missed["lost_tokens"], missed["lost_usd"])


def last_of_conversation(record: Record, own: Fingerprint, held: Sequence[Record]) -> Record | None:
    """Return the last earlier request of the same client that began the same conversation."""
    flow = record.flow
    earlier = sorted(
        (each for each in held if each.flow.began < flow.began and is_like(flow, each.flow) and each.flow.usage),
        key=lambda each: each.flow.began,
        reverse=True,
    )
    for each in earlier:
        other = fingerprint_of(each)
        if other is not None and other.messages[:1] == own.messages[:1] and len(other.messages) <= len(own.messages):
            return each
    return None


def is_like(flow: Flow, other: Flow) -> bool:
    """Tell whether two requests share what a cache hangs on: client, key, endpoint, model, upstream."""
    return (
        flow.model_sent == other.model_sent
        and flow.client == other.client
        and flow.path == other.path
        and flow.key_name == other.key_name
        and flow.upstream == other.upstream
    )


def caches(flow: Flow) -> bool:
    """Tell whether an answer shows that its upstream has a cache."""
    return flow.usage is not None and (flow.usage.cached_tokens > 0 or flow.usage.cache_written_tokens > 0)


def tokens_of(record: Record, prompt: Fingerprint) -> int:
    """Return how many tokens a prompt had: as the upstream counted, else roughly."""
    usage = record.flow.usage
    return usage.input_tokens if usage else prompt.size_bytes() // BYTES_PER_TOKEN


def common(one: Fingerprint, other: Fingerprint) -> int:
    """Return how many pieces two prompts share from their beginning."""
    pairs = zip(one.segments, other.segments, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one.segments), len(other.segments)))


def difference(record: Record, own: Fingerprint, earlier: Record, before: Fingerprint) -> tuple[str, str]:
    """Return which piece is another one, as a kind and in words."""
    if own.tools != before.tools:
        return "tools", f"The tool list changed{tool_changes(record, earlier)}"
    if own.system != before.system:
        return "system", f"The system prompt differs{first_difference(record, earlier)}"
    shared = common(own, before)
    if shared < len(before.segments):
        return "history", f"Message {shared - 1} of the conversation was changed"
    pause_s = record.flow.began - earlier.flow.began - (earlier.flow.last_byte_s or 0.0)
    if pause_s > IDLE_S:
        return "idle", f"{pause_s / 60:.0f} minutes have passed since the last request"
    return "missed", "The beginning is the same, but the upstream did not find it in its cache"


def tool_changes(record: Record, earlier: Record) -> str:
    """Return what became of the tools, "" where a body is no longer held."""
    now, then = (tool_names(each) for each in (record, earlier))
    if now is None or then is None:
        return ""
    added, removed = [name for name in now if name not in then], [name for name in then if name not in now]
    words = [f"{len(names)} {what}" for names, what in ((added, "added"), (removed, "removed")) if names]
    if not words:
        words = ["the order" if sorted(now) == sorted(then) and now != then else "a description"]
    return f" ({', '.join(words)})"


def tool_names(record: Record) -> list[str] | None:
    """Return the names of a request's tools, None where its body is not held."""
    fields = bodies.sent_fields(record)
    if fields is None:
        return None
    tools = [each for each in listed(fields.get("tools") or fields.get("functions")) if isinstance(each, dict)]
    inner = [each["function"] if isinstance(each.get("function"), dict) else each for each in tools]
    return [str(each.get("name") or each.get("type")) for each in inner]


def first_difference(record: Record, earlier: Record) -> str:
    """Return where two system texts part, "" where a body is no longer held."""
    now, then = (system_text(each) for each in (record, earlier))
    if now is None or then is None:
        return ""
    place = next((at for at, (a, b) in enumerate(zip(now, then, strict=False)) if a != b), min(len(now), len(then)))
    around = slice(max(place - AROUND, 0), place + AROUND)
    is_time = TIME_LIKE.search(now[around]) and TIME_LIKE.search(then[around])
    return f" at byte {len(now[:place].encode('utf-8', 'replace')):,}{' (a time?)' if is_time else ''}"


def system_text(record: Record) -> str | None:
    """Return the system text, None where the body is not held."""
    fields = bodies.sent_fields(record)
    if fields is None:
        return None
    _, system, _ = pieces_of(fields, bodies.api_of(record))
    return "\n".join(texts_in(system))


def texts_in(value: Any) -> list[str]:
    """Return the texts of messages and parts."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in texts_in(each)]
    return texts_in(value.get("content", value.get("text"))) if isinstance(value, dict) else []


def lost_usd(tokens: int, flow: Flow, prices: Prices) -> float | None:
    """Return what the tokens cost more than from the cache, None where the price is not known."""
    model = flow.model_sent or flow.model_asked
    full = cost_of(Usage(tokens, 0), model, flow.upstream_host, prices).usd
    cached = cost_of(Usage(tokens, 0, cached_tokens=tokens), model, flow.upstream_host, prices).usd
    return None if full is None or cached is None else round(max(0.0, full - cached), 8)


def thousands(tokens: int) -> str:
    """Return a count as people say it."""
    return f"{tokens / 1000:.0f} k" if tokens >= 10_000 else f"{tokens:,}"


def dollars(usd: float) -> str:
    """Return an amount, never rounded to nothing."""
    return f"${usd:.2f}" if usd >= 0.01 else f"${usd:.4f}"
