"""Reserve an estimate for each running request of a proxy key that has a limit, until its real usage is counted.

Without it, requests that run at the same time would all be let in by the same unused rest. Lives on the event loop.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from proxy.flow.flow import Flow, Usage
from proxy.usage.limits import Unit
from proxy.usage.row import BYTES_PER_EVENT, BYTES_PER_TOKEN
from proxy.usage.spending import Spent, Standing

ENVELOPE_BYTES = 100  # of a body: the JSON around its text
MAX_INPUT_TOKENS = 200_000  # most models take no more: a body that is larger holds pictures or sound
UNKNOWN_OUTPUT_TOKENS = 1_000  # of an answer whose length the request does not limit
MAX_OUTPUT_TOKENS = 4_096  # many clients allow for far more than any answer takes
ENOUGH_REQUESTS = 5  # of a key in this month, for their mean to mean something
OUTPUT_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
NO_OUTPUT = ("/embeddings", "/messages/count_tokens")


@dataclass(frozen=True)
class Reservation:
    """What one running request may use, and the flow that says how far it has come."""

    flow: Flow
    usage: Usage
    usd: float

    def amount(self, unit: Unit) -> float:
        """Return what is reserved now: the estimate, or more once the answer is longer than that."""
        estimated = self.usage.input_tokens + self.usage.output_tokens
        seen = self.usage.input_tokens + self.flow.bytes_down // BYTES_PER_EVENT
        if unit == "tokens":
            return max(estimated, seen)
        return self.usd * max(1.0, seen / estimated) if estimated else self.usd


class Reservations:
    """The reservations of all running requests, by proxy key."""

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Reservation]] = {}  # by key, then by the flow's id

    def add(self, key: str, reservation: Reservation) -> None:
        """Reserve until `release`."""
        self._running.setdefault(key, {})[reservation.flow.id] = reservation

    def release(self, flow: Flow) -> None:
        """Let go of what a flow had reserved; nothing is no error. Any thread: a request may be refused on another."""
        if flow.key_name is not None and (running := self._running.get(flow.key_name)) is not None:
            running.pop(flow.id, None)

    def refusing(self, key: str, standings: Iterable[Standing]) -> tuple[Standing, int] | None:
        """Return the limit that running requests leave no rest of, and their number; None where there is some rest.

        The largest one whose answer is being streamed is left out: one long stream must not hold up all others.
        """
        running = list(self._running.get(key, {}).values())
        if not running:
            return None
        for standing in standings:
            unit = standing.limit.unit
            amounts = sum(each.amount(unit) for each in running)
            streamed = max((each.amount(unit) for each in running if each.flow.first_byte_s is not None), default=0)
            reserved = amounts - streamed
            if reserved and standing.used + reserved >= standing.limit.amount:
                return standing, len(running)
        return None


def estimate(flow: Flow, fields: dict[str, Any], body_bytes: int, so_far: Spent) -> Usage:
    """Return the usage to reserve: by the size of the body, and by what the key's requests used `so_far` on average.

    As long as that is not known the answer counts by the limit that the request sets for it.
    """
    tokens_in = min(max(body_bytes - ENVELOPE_BYTES, 0) // BYTES_PER_TOKEN, MAX_INPUT_TOKENS)
    if flow.path.endswith(NO_OUTPUT):
        return Usage(tokens_in, 0)
    limits = [value for name in OUTPUT_LIMITS if type(value := fields.get(name)) is int and value > 0]
    if so_far.requests >= ENOUGH_REQUESTS:
        tokens_out = max(so_far.tokens // so_far.requests - tokens_in, 1)
    else:
        tokens_out = min([*limits, MAX_OUTPUT_TOKENS]) if limits else UNKNOWN_OUTPUT_TOKENS
    return Usage(tokens_in, min([tokens_out, *limits]))
