"""Who is told of requests: each hears that one has begun, is answered, passes a chunk, has ended.

No observer holds up or breaks a request. Those of the house are called on the event loop and return at once; every
other has a thread and a queue of its own, and is given copies.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.flow.flow import Flow, Outcome, outcome_of
from proxy.http.headers import Headers

MAX_QUEUED = 10_000  # events that wait for one observer; what comes on top is lost to it
STOP_TIMEOUT_S = 5.0

EVENTS = ("begun", "answered", "chunk", "ended")

log = logging.getLogger(__name__)


class Observer:
    """Hear of requests. What is not overridden is not called."""

    is_content = False  # for now, it would learn nothing from an answer or an end that is good, and is not told of it

    def begun(self, flow: Flow) -> None:
        """Hear that a request has come."""

    def answered(self, flow: Flow, headers: Headers) -> None:
        """Hear that the upstream has answered with the flow's status and these headers; once a round of tools."""

    def chunk(self, flow: Flow, data: bytes) -> None:
        """Hear of a piece of the answer's body, as the client gets it."""

    def ended(self, flow: Flow) -> None:
        """Hear that a request is over; its outcome is set."""


class Observers:
    """Tell each observer. The methods that announce something run on the event loop."""

    def __init__(self, *immediate: Observer) -> None:
        # By event: the observers that hear of it, and what each is called with.
        self._hearing: dict[str, tuple[tuple[Observer, Callable[..., None]], ...]] = dict.fromkeys(EVENTS, ())
        self._deliveries: dict[Observer, Delivery] = {}
        self._spoken_of: set[str] = set()  # the observers of whose failure the log has spoken
        self.hears_chunks = False  # somebody wants the pieces of the answers
        self._counting = threading.Lock()  # under a WSGI server requests are refused in its threads
        self.running = 0  # flows that have begun and not ended; may be read on any thread
        for observer in immediate:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Tell this observer too, on the event loop: it returns at once. Any thread."""
        self._add(observer, lambda event: getattr(observer, event))  # bound now: called for every request

    def remove(self, observer: Observer) -> None:
        """Tell this observer no more; one that was never told is passed over. Any thread."""
        self._unsubscribe(observer)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Tell this observer too, in a thread of its own; return what ends that. Any thread."""
        delivery = self._deliveries[observer] = Delivery(observer, self._speak_of)

        def queued(event: str) -> Callable[..., None]:
            return partial(delivery.put, event)

        self._add(observer, queued)
        return lambda: self._unsubscribe(observer)

    def begin(self, flow: Flow) -> None:
        """Announce a new flow."""
        with self._counting:
            self.running += 1
        self._tell("begun", flow)

    def answer(self, flow: Flow, headers: Headers) -> None:
        """Announce the upstream's answer."""
        self._tell("answered", flow, headers)

    def chunk(self, flow: Flow, data: bytes) -> None:
        """Announce a piece of the answer's body."""
        self._tell("chunk", flow, data)

    def rest(self, flow: Flow) -> None:
        """Count a flow as running no more, though it goes on: a WebSocket may stay open for days."""
        flow.is_resting = True
        with self._counting:
            self.running -= 1

    def end(
        self,
        flow: Flow,
        failure: ProxyError | None = None,
        outcome: Outcome | None = None,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        """Announce the end of a flow, once: a second end is passed over. Without an outcome it is worked out."""
        ended = outcome or outcome_of(flow.status or 0, failure, is_repaired=bool(flow.repairs))
        if flow.end(ended, failure, usage):
            with self._counting:
                self.running -= not flow.is_resting  # first: an observer that hears of the end may count them
            self._tell("ended", flow)

    def refuse(self, flow: Flow, error: ProxyError) -> None:
        """Announce a flow that ends before it begins: refused by the guard, or malformed."""
        flow.status = error.status
        self.begin(flow)
        self.end(flow, error)

    def stop(self) -> None:
        """End the threads of the observers; what is queued is heard first, for a moment."""
        for observer in list(self._deliveries):
            self._unsubscribe(observer)

    def _add(self, observer: Observer, hear: Callable[[str], Callable[..., None]]) -> None:
        for event in EVENTS:
            if getattr(type(observer), event) is not getattr(Observer, event):
                self._hearing[event] = (*self._hearing[event], (observer, hear(event)))
        self.hears_chunks = bool(self._hearing["chunk"])

    def _unsubscribe(self, observer: Observer) -> None:
        for event in EVENTS:
            self._hearing[event] = tuple(pair for pair in self._hearing[event] if pair[0] is not observer)
        self.hears_chunks = bool(self._hearing["chunk"])
        if (delivery := self._deliveries.pop(observer, None)) is not None:
            delivery.stop()

    def _tell(self, event: str, flow: Flow, *values: Any) -> None:
        is_good = flow.failure is None and (flow.status or 0) < 400
        for observer, hear in self._hearing[event]:
            if is_good and observer.is_content:
                continue
            try:
                hear(flow, *values)
            except Exception:  # noqa: BLE001  no observer breaks a request, nor keeps the next from hearing
                self._speak_of(observer, "failed")

    def _speak_of(self, observer: Observer, what: str) -> None:
        """Say in the log that an observer failed, once for each; the exception under way is shown."""
        name = type(observer).__name__
        if name not in self._spoken_of:
            self._spoken_of.add(name)
            log.exception("the observer %s %s; this is said once", name, what)


class Delivery:
    """Hand an observer that may be slow copies of what happens, in a thread of its own."""

    def __init__(self, observer: Observer, speak_of: Callable[[Observer, str], None]) -> None:
        self._observer = observer
        self._speak_of = speak_of
        self._queue: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._run, name=f"observer-{type(observer).__name__}", daemon=True)
        self._thread.start()

    def put(self, event: str, flow: Flow, *values: Any) -> None:
        """Queue an event with a copy of its flow; where too many wait, it is lost."""
        try:
            self._queue.put_nowait((event, (flow.frozen(), *values)))
        except queue.Full:
            self._speak_of(self._observer, "is too slow, and misses requests")

    def stop(self) -> None:
        """End the thread once the observer has heard what is queued; one that hangs is left behind."""
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:  # the oldest event makes room
                with suppress(queue.Empty):
                    self._queue.get_nowait()
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while (queued := self._queue.get()) is not None:
            event, values = queued
            try:
                getattr(self._observer, event)(*values)
            except Exception:  # noqa: BLE001  a thread's body; it is logged
                self._speak_of(self._observer, "failed")
