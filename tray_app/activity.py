"""Tell whether the proxy is working on a request, debounced for an icon."""

import threading
import time
from collections.abc import Callable

from proxy.flow.flow import Flow
from proxy.flow.observers import Observer, Observers
from tray_app.schedule import Schedule

STEADY_S = 0.5  # a change that has held for this long is shown: short requests do not make the icon flicker


class Activity(Observer):
    """Follow the requests of the proxy, and call `changed` when `is_working` has changed.

    An event only schedules a check: what counts is how many requests run at that time. So an open WebSocket, which
    stops to count as running without an event, is noticed at the check after its answer.
    """

    def __init__(
        self,
        observers: Observers,
        schedule: Schedule,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observers = observers
        self._schedule = schedule
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()  # events and checks come on two threads
        self._is_busy = False  # requests ran when it was last looked
        self._since_s = clock()  # when that began
        self._is_check_due = False
        self.is_working = False  # what the icon shows; may be read on any thread

    def start(self) -> Callable[[], None]:
        """Subscribe to the requests, count those that run already, and return a function that ends it."""
        unsubscribe = self._observers.subscribe(self)
        self._note()
        return unsubscribe

    def begun(self, flow: Flow) -> None:  # noqa: ARG002  the interface's parameters
        """Note that a request has come."""
        self._note()

    def answered(self, flow: Flow, headers: object) -> None:  # noqa: ARG002  the interface's parameters
        """Note an answer: a WebSocket stops to count as running after it."""
        self._note()

    def ended(self, flow: Flow) -> None:  # noqa: ARG002  the interface's parameters
        """Note that a request is over."""
        self._note()

    def _note(self) -> None:
        with self._lock:
            self._look()
            if not self._is_check_due:
                self._is_check_due = True
                self._schedule.after(STEADY_S, self._check)

    def _check(self) -> None:
        """Show a change that has held long enough, or check again when it has; on the schedule's thread."""
        with self._lock:
            self._look()
            has_changed = self._is_busy != self.is_working
            remaining_s = self._since_s + STEADY_S - self._clock()
            self._is_check_due = has_changed and remaining_s > 0
            if self._is_check_due:
                self._schedule.after(remaining_s, self._check)
                return
            self.is_working = self._is_busy
        if has_changed:
            self._changed()

    def _look(self) -> None:
        is_busy = self._observers.running > 0
        if is_busy != self._is_busy:
            self._is_busy, self._since_s = is_busy, self._clock()
