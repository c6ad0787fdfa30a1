"""Which clients' next answers are to break, to see what they make of that: each once. No upstream is asked.

A demo upstream on this computer takes the place of the one that was chosen; what the proxy makes of its fault, and
tells the client, is what it would make of a real one.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from proxy.errors.request import NothingToBreak
from proxy.flow.flow import Flow
from proxy.flow.observers import Observer, Observers
from proxy.policy.endpoints import json_endpoint
from proxy.settings.upstreams import Upstream

FAULTS = {  # by name, which is that of a demo model without its "demo-"
    "breaks-off": "The connection breaks in the middle of the answer",
    "stalls": "The answer begins, and then nothing more comes",
    "no-done": "The stream ends without [DONE], or without the last event of its format",
    "error-200": "An error comes with status 200, in a stream in the middle of it",
    "429": "The request is refused for its rate",
    "slow": "Nothing comes for 20 seconds, then the answer, slowly",
}
SPOKEN = ("/chat/completions", "/responses", "/messages")  # by the demo, as far as answers can break
NAME = "fault-drill"
LASTS_S = 900.0  # a drill that nobody has used by then is off
MAX_ARMED = 20


@dataclass(frozen=True)
class Armed:
    """What happens to the next answer of a client."""

    client: str
    fault: str
    until: float  # time.monotonic()


def demo_server() -> AbstractContextManager[str]:
    """Return what runs the demo upstream and gives its base URL."""
    from proxy.demo.server import run_demo  # noqa: PLC0415  only a fault drill pays for it

    return run_demo()


class Drills(Observer):
    """Hold which clients' next answers are broken. Armed on any thread; hears of requests only while one is."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._lock = threading.Lock()
        self._armed: dict[str, Armed] = {}  # by the client's name in lower case
        self._running = ExitStack()
        self._listeners: list[Callable[[], None]] = []
        self.upstream: Upstream | None = None  # once one was armed
        self.last: dict[str, str] | None = None  # the last one: its client, fault and request

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener before the first drill."""
        self._listeners.append(listener)

    def arm(self, client: str, fault: str) -> None:
        """Break the next answer of a client; another drill of it is replaced. Blocks; raises NothingToBreak."""
        if fault not in FAULTS:
            raise NothingToBreak(f"there is no fault {fault!r}; there are {', '.join(FAULTS)}")
        if not client.strip():
            raise NothingToBreak("no client is named")
        with self._lock:
            self._forget_late()
            if len(self._armed) >= MAX_ARMED:
                raise NothingToBreak("too many clients wait for theirs")
            if self.upstream is None:
                base_url = self._running.enter_context(demo_server())
                self.upstream = Upstream(name=NAME, base_url=base_url, auth="none", max_retries=0)
                for listener in self._listeners:
                    listener()
            if not self._armed:
                self._observers.add(self)
            self._armed[client.strip().lower()] = Armed(client.strip(), fault, time.monotonic() + LASTS_S)

    def disarm(self, client: str) -> None:
        """Leave a client's next answer whole; one that is not armed is no error."""
        with self._lock:
            self._take(client.strip().lower())

    def begun(self, flow: Flow) -> None:
        """Break the answer to this request, if its client's turn has come."""
        if flow.client is None or flow.method != "POST" or json_endpoint(flow.path) not in SPOKEN:
            return
        name = flow.client.lower()
        with self._lock:
            self._forget_late()
            armed = self._take(name) or self._take(name.partition("/")[0])  # with its version, or without
        if armed is not None:
            flow.drill = armed.fault
            self.last = {"client": flow.client, "fault": armed.fault, "id": flow.id}

    def state(self) -> dict[str, Any]:
        """Return what is armed, as an object of JSON."""
        now = time.monotonic()
        with self._lock:
            armed = [each for each in self._armed.values() if each.until > now]
        return {
            "faults": [{"name": name, "meaning": meaning} for name, meaning in FAULTS.items()],
            "armed": [
                {"client": each.client, "fault": each.fault, "left_s": round(each.until - now)} for each in armed
            ],
            "last": self.last,
        }

    def close(self) -> None:
        """End the demo upstream, and every drill."""
        with self._lock:
            for client in list(self._armed):
                self._take(client)
            self.upstream = None
            running, self._running = self._running, ExitStack()
        running.close()

    def _take(self, client: str) -> Armed | None:
        armed = self._armed.pop(client, None)
        if armed is not None and not self._armed:
            self._observers.remove(self)
        return armed

    def _forget_late(self) -> None:
        now = time.monotonic()
        for client in [name for name, each in self._armed.items() if each.until <= now]:
            self._take(client)
