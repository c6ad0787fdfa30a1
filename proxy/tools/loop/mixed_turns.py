"""What is kept of a turn in which the model called tools of both sides, until the client comes back with its results.

The client never sees our calls. When its next request brings its own results, ours are put back beside them; where they
are forgotten by then, the model simply asks again.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from proxy.tools.loop.request import ModelCall, compact
from proxy.tools.tool import JsonObject

FORGOTTEN_AFTER_S = 600.0
MAX_TURNS = 256
MAX_BYTES = 32 * 1_048_576

Items = tuple[JsonObject, ...]


@dataclass(frozen=True)
class MixedTurn:
    """The messages or items that belong where the client's own calls stand."""

    items: Items
    size_bytes: int


class MixedTurns:
    """Keep turns by what the client will come back with. For any thread."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        max_turns: int = MAX_TURNS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_turns = max_turns
        self._lock = threading.Lock()
        self._kept: TTLCache[str, MixedTurn] = TTLCache(
            max_bytes, FORGOTTEN_AFTER_S, timer=now, getsizeof=lambda turn: turn.size_bytes
        )

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, key: str, items: Iterable[JsonObject]) -> None:
        """Keep a turn; the oldest make room. One that is larger than all the room is not kept."""
        kept = tuple(items)
        turn = MixedTurn(kept, len(compact(kept)))
        with self._lock:
            if turn.size_bytes > self._kept.maxsize:
                return
            self._kept[key] = turn
            while len(self._kept) > self._max_turns:
                self._kept.popitem()

    def look_up(self, key: str) -> Items | None:
        """Return a kept turn, and keep it for as long again: the client sends its whole history each time."""
        with self._lock:
            turn = self._kept.get(key)
            if turn is None:
                return None
            self._kept[key] = turn
            return turn.items


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
