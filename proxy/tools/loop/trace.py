"""What the loop did for a request: rounds, calls, outcomes, durations. In memory alone, and bounded."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from proxy.tools.tool import CallRecord

MOST_TRACES = 500
MOST_BYTES = 16 * 1_048_576  # of arguments and results, over all traces


@dataclass(frozen=True)
class Round:
    """One turn of the model's that called tools of ours."""

    calls: tuple[CallRecord, ...]
    seconds: float  # until the last of them was done
    is_mixed: bool = False  # the client was handed calls of its own beside these

    @property
    def size_bytes(self) -> int:
        """Return how much its arguments and results take."""
        return sum(len(call.arguments) + len(call.result) for call in self.calls)


@dataclass(frozen=True)
class Trace:
    """One request."""

    request_id: str
    path: str
    rounds: tuple[Round, ...] = ()


class Traces:
    """Keep the traces of the last requests that called tools. For any thread."""

    def __init__(self, most: int = MOST_TRACES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Trace] = OrderedDict()
        self._bytes = 0

    @property
    def all(self) -> tuple[Trace, ...]:
        """Return the traces, the oldest first."""
        with self._lock:
            return tuple(self._kept.values())

    def of(self, request_id: str) -> Trace | None:
        """Return a request's trace, None where it called no tools or is forgotten."""
        with self._lock:
            return self._kept.get(request_id)

    def note(self, request_id: str, path: str, done: Round) -> None:
        """Add a round to a request's trace; the oldest traces make room."""
        with self._lock:
            trace = self._kept.pop(request_id, None) or Trace(request_id, path)
            self._kept[request_id] = replace(trace, rounds=(*trace.rounds, done))
            self._bytes += done.size_bytes
            while len(self._kept) > self._most or (self._bytes > self._most_bytes and len(self._kept) > 1):
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= sum(done.size_bytes for done in oldest.rounds)
