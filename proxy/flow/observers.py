"""Who is told of requests: each hears that one has begun, is answered, passes a chunk, has ended.

No observer holds up or breaks a request. Those of the house are called on the event loop and return at once; every
other has a thread and a queue of its own, and is given copies.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.flow.flow import Flow, Outcome, outcome_of
from proxy.http.headers import Headers

MAX_QUEUED = 10_000  # events that wait for one observer; what comes on top is lost to it
STOP_TIMEOUT_S = 5.0

log = logging.getLogger(__name__)


class Observer:
    """Hear of requests. What is not overridden is not called."""

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
        self._hearing: dict[str, tuple[Callable[..., None], ...]] = dict.fromkeys(EVENTS, ())
        self._background: list[BackgroundObserver] = []
        self._told: set[str] = set()  # the observers of whose failure the log has spoken
        self.hears_chunks = False  # somebody wants the pieces of the answers
        self._counting = threading.Lock()  # under a WSGI server requests are refused in its threads
        self.running = 0  # flows that have begun and not ended; may be read on any thread
        for observer in immediate:
            self._add(observer)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Tell this observer too, in a thread of its own; return what ends that. Any thread."""
        background = BackgroundObserver(observer, self._speak_of)
        self._background.append(background)
        self._add(background)

        def unsubscribe() -> None:
            self._remove(background)
            background.stop()

        return unsubscribe

    def begin(self, flow: Flow) -> None:
        """Announce a new flow."""
        with self._counting:
            self.running += 1
        for hear in self._hearing["begun"]:
            self._call(hear, flow)

    def answer(self, flow: Flow, headers: Headers) -> None:
        """Announce the upstream's answer."""
        for hear in self._hearing["answered"]:
            self._call(hear, flow, headers)

    def chunk(self, flow: Flow, data: bytes) -> None:
        """Announce a piece of the answer's body."""
        for hear in self._hearing["chunk"]:
            self._call(hear, flow, data)

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
            for hear in self._hearing["ended"]:
                self._call(hear, flow)

    def refuse(self, flow: Flow, error: ProxyError) -> None:
        """Announce a flow that ends before it begins: refused by the guard, or malformed."""
        flow.status = error.status
        self.begin(flow)
        self.end(flow, error)

    def stop(self) -> None:
        """End the threads of the observers; what is queued is heard first, for a moment."""
        for observer in self._background:
            self._remove(observer)
            observer.stop()
        self._background.clear()

    def _add(self, observer: "Observer | BackgroundObserver") -> None:
        for event in EVENTS:
            if observer_hears(observer, event):
                self._hearing[event] = (*self._hearing[event], getattr(observer, event))
        self.hears_chunks = bool(self._hearing["chunk"])

    def _remove(self, observer: "BackgroundObserver") -> None:
        for event in EVENTS:
            heard = self._hearing[event]
            self._hearing[event] = tuple(each for each in heard if getattr(each, "__self__", None) is not observer)
        self.hears_chunks = bool(self._hearing["chunk"])

    def _call(self, hear: Callable[..., None], *event: Any) -> None:
        try:
            hear(*event)
        except Exception:  # noqa: BLE001  no observer breaks a request; it is logged
            self._speak_of(name_of(hear), "failed")

    def _speak_of(self, observer: str, what: str) -> None:
        """Say in the log that an observer failed, once for each; the exception under way is shown."""
        if observer not in self._told:
            self._told.add(observer)
            log.exception("the observer %s %s; this is said once", observer, what)


class BackgroundObserver:
    """Stand before an observer that may be slow, and hand it copies in a thread of its own."""

    def __init__(self, observer: Observer, speak_of: Callable[[str, str], None]) -> None:
        self.observer = observer
        self._speak_of = speak_of
        self._queue: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._run, name=f"observer-{type(observer).__name__}", daemon=True)
        self._thread.start()

    def begun(self, flow: Flow) -> None:
        """Queue it."""
        self._put("begun", flow.frozen())

    def answered(self, flow: Flow, headers: Headers) -> None:
        """Queue it."""
        self._put("answered", flow.frozen(), headers)

    def chunk(self, flow: Flow, data: bytes) -> None:
        """Queue it."""
        self._put("chunk", flow.frozen(), data)

    def ended(self, flow: Flow) -> None:
        """Queue it."""
        self._put("ended", flow.frozen())

    def stop(self) -> None:
        """End the thread once it has heard what is queued; one that hangs is left behind."""
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:  # the oldest event makes room
                with suppress(queue.Empty):
                    self._queue.get_nowait()
        self._thread.join(STOP_TIMEOUT_S)

    def _put(self, event: str, *values: Any) -> None:
        try:
            self._queue.put_nowait((event, values))
        except queue.Full:
            self._speak_of(type(self.observer).__name__, "is too slow, and misses requests")

    def _run(self) -> None:
        while (queued := self._queue.get()) is not None:
            event, values = queued
            try:
                getattr(self.observer, event)(*values)
            except Exception:  # noqa: BLE001  a thread's body; it is logged
                self._speak_of(type(self.observer).__name__, "failed")


EVENTS = ("begun", "answered", "chunk", "ended")


def observer_hears(observer: "Observer | BackgroundObserver", event: str) -> bool:
    """Tell whether an observer has a method of its own for an event."""
    kind = type(observer.observer if isinstance(observer, BackgroundObserver) else observer)
    return getattr(kind, event) is not getattr(Observer, event)


def name_of(hear: Callable[..., None]) -> str:
    """Return the name of the observer a bound method belongs to."""
    return type(getattr(hear, "__self__", hear)).__name__
