"""The observer that holds the recent requests: the last ones as rows, and their bodies within a budget of bytes.

It is told on the event loop and read on any thread. Off or paused it holds rows alone, and records no request.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from proxy.capture.feed import Feed
from proxy.capture.record import Record
from proxy.flow.flow import Flow
from proxy.flow.observers import Observer, Observers
from proxy.http.headers import Headers


@dataclass(frozen=True)
class Limits:
    """What the settings say: whether bodies are held, of how many requests, and how many bytes in all."""

    is_on: bool
    requests: int
    budget_bytes: int


class Capture(Observer):
    """Hold the recent requests."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self.feed = Feed()
        self._read_limits = limits
        self.limits = limits()  # those in force; looked at for every chunk
        self._records: OrderedDict[str, Record] = OrderedDict()  # by id, the oldest first
        self._is_following = False
        self._following = threading.Lock()
        self._note = self._note_size
        self._listeners: list[Callable[[], None]] = []
        self.keep: Callable[[Record], None] | None = None  # called with each request that is over; returns at once
        self.is_paused = False
        self.held_bytes = 0

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener after each pause and its end, on the thread that made it."""
        self._listeners.append(listener)

    def follow(self, observers: Observers) -> None:
        """Hear of these observers' requests from now on. Twice is no error.

        Called where there are pages to show them on: elsewhere, nobody would see what is held.
        """
        with self._following:
            if not self._is_following:
                self._is_following = True
                observers.add(self)

    def pause(self, *, is_paused: bool) -> None:
        """Hold bodies of no more requests, or again of those that begin from now on; any thread."""
        self.is_paused = is_paused
        self._changed()
        for listener in self._listeners:
            listener()

    def settings_changed(self) -> None:
        """Take over the limits the settings say now; any thread."""
        self.limits = self._read_limits()
        self._changed()

    def all(self) -> list[Record]:
        """Return the records, the newest first."""
        while True:
            try:
                return list(self._records.values())[::-1]
            except RuntimeError:  # noqa: PERF203  one came or went meanwhile: the loop waits for no lock of ours
                continue

    def find(self, request_id: str) -> Record | None:
        """Return the record of a request, None where it is no longer held."""
        return self._records.get(request_id)

    def begun(self, flow: Flow) -> None:
        """Hold a request from now on."""
        limits = self.limits
        if limits.is_on and not self.is_paused:
            flow.recorder = record = Record(flow, self._note, running_task())
        else:
            record = Record(flow, None, running_task())
        records = self._records
        records[flow.id] = record
        while len(records) > limits.requests:
            self._forget_oldest()
        if self.feed.is_heard:
            self.feed.say("begun", record)

    def answered(self, flow: Flow, headers: Headers) -> None:  # noqa: ARG002  an observer's signature
        """Tell the pages that the upstream has answered."""
        if self.feed.is_heard and (record := self._records.get(flow.id)) is not None:
            self.feed.say("answered", record)

    def ended(self, flow: Flow) -> None:
        """Tell the pages that it is over; who only looked what is here leaves no row."""
        record = self._records.get(flow.id)
        if record is None:
            return
        record.task = None
        flow.recorder = None  # nothing more comes; in a circle the two would wait for the garbage collector
        record.tell_size()
        if flow.is_probe:
            del self._records[flow.id]
            self.held_bytes -= record.drop()
        elif self.keep is not None and record.is_captured:
            self.keep(record)
        if self.feed.is_heard:
            self.feed.say("ended", record)

    def cancel(self, request_id: str) -> bool:
        """End a running request, and what its upstream still does for it; False where it is over. On the event loop."""
        record = self._records.get(request_id)
        if record is None or record.task is None or record.flow.outcome is not None:
            return False
        record.flow.is_cancelled = True
        record.task.cancel()
        return True

    def _forget_oldest(self) -> None:
        """Let go of the oldest request that is over, of the oldest of all where all are running."""
        oldest_of_all = next(iter(self._records.values()))
        oldest = oldest_of_all
        if oldest.flow.outcome is None:
            over = (record for record in self._records.values() if record.flow.outcome is not None)
            oldest = next(over, oldest_of_all)
        del self._records[oldest.flow.id]
        self.held_bytes -= oldest.drop()

    def _note_size(self, size_bytes: int) -> None:
        self.held_bytes += size_bytes
        if self.held_bytes > self.limits.budget_bytes:
            for each in list(self._records.values()):
                self.held_bytes -= each.drop() if each.is_captured else 0
                if self.held_bytes <= self.limits.budget_bytes:
                    break

    def _changed(self) -> None:
        self.feed.say("capture", None)


def running_task() -> "asyncio.Task[object] | None":
    """Return the task this is called in, None in a thread without a loop: there requests end as they begin."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
