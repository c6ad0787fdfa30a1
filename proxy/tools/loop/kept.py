"""What is kept of a turn in which the model called tools of both sides, until the client comes back with its results.

The client never sees our calls. When its next request brings its own results, ours are put back beside them; where they
are forgotten by then, the model simply asks again.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from proxy.tools.loop.request import ModelCall, compact
from proxy.tools.tool import JsonObject

FORGOTTEN_AFTER_S = 600.0
MOST_TURNS = 256
MOST_BYTES = 32 * 1_048_576

Items = tuple[JsonObject, ...]


@dataclass(frozen=True)
class KeptTurn:
    """The messages or items that belong where the client's own calls stand."""

    items: Items
    size_bytes: int
    until: float


class KeptTurns:
    """Keep turns by what the client will come back with. For any thread."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        most: int = MOST_TURNS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._now = now
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, KeptTurn] = OrderedDict()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, key: str, items: Iterable[JsonObject]) -> None:
        """Keep a turn; the oldest make room."""
        kept = tuple(items)
        turn = KeptTurn(kept, len(compact(kept)), self._now() + FORGOTTEN_AFTER_S)
        with self._lock:
            self._drop(key)
            self._kept[key] = turn
            self._bytes += turn.size_bytes
            while len(self._kept) > self._most or self._bytes > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def look_up(self, key: str) -> Items | None:
        """Return a kept turn, and keep it for as long again: the client sends its whole history each time."""
        now = self._now()
        with self._lock:
            while self._kept and (oldest := next(iter(self._kept))) and self._kept[oldest].until <= now:
                self._drop(oldest)
            turn = self._kept.pop(key, None)
            if turn is None:
                return None
            self._kept[key] = KeptTurn(turn.items, turn.size_bytes, now + FORGOTTEN_AFTER_S)
            return turn.items

    def _drop(self, key: str) -> None:
        turn = self._kept.pop(key, None)
        self._bytes -= turn.size_bytes if turn else 0


def key_for(caller: str, calls: Iterable[ModelCall], context: str = "") -> str:
    """Return the key of a turn: whose it is, the client's own calls in it, and what was asked.

    The ids alone would not do: some upstreams count them from 0 in every answer.
    """
    told = sorted([call.id, call.name, canonical(call.arguments)] for call in calls)
    return hashlib.sha256(json.dumps([caller, told, context]).encode()).hexdigest()


def canonical(arguments: str) -> str:
    """Return JSON text in one form: clients write it anew, and an empty object where there was nothing."""
    try:
        value: Any = json.loads(arguments.strip() or "{}")
    except (ValueError, RecursionError):
        return arguments
    return json.dumps(value, sort_keys=True)
