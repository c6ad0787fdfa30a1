"""The health of each upstream: an observer that holds one UpstreamHealth for each name."""

from collections.abc import Callable, Collection
from dataclasses import replace

from proxy.flow.flow import Flow
from proxy.flow.health import Health, UpstreamHealth
from proxy.flow.observers import Observer
from proxy.http.headers import Headers

Listener = Callable[[Health], None]


class Healths(Observer):
    """Take note of each upstream's answers and failures. Told on the event loop, read on any thread."""

    def __init__(self, chosen: Callable[[], str], on_key_refused: Callable[[], None] = lambda: None) -> None:
        self._chosen = chosen  # the name of the upstream the user has chosen
        self._on_key_refused = on_key_refused
        self._listeners: list[Listener] = []
        self._by_name: dict[str, UpstreamHealth] = {}
        self.is_content = False

    def listen(self, listener: Listener) -> None:
        """Call the listener after each change of any, on the thread that found it; it must not block."""
        self._listeners.append(listener)

    def of(self, name: str) -> UpstreamHealth:
        """Return the health of an upstream."""
        health = self._by_name.get(name)
        if health is None:
            health = UpstreamHealth(on_key_refused=self._on_key_refused)
            health.listen(lambda current: self._tell(name, health, current))
            health = self._by_name.setdefault(name, health)
        return health

    @property
    def knows_any(self) -> bool:
        """Tell whether any upstream was asked, so that there is something to tell."""
        return bool(self._by_name)

    @property
    def current(self) -> Health:
        """Return how the chosen one is now."""
        return self.of(self._chosen()).current

    def is_of_chosen(self, health: Health) -> bool:
        """Tell whether what a listener hears is about the chosen one."""
        return health.upstream == self._chosen()

    def answered(self, flow: Flow, headers: Headers) -> None:
        """Take note of an answer, for the upstream that gave it; the fault of a drill is no upstream's."""
        if flow.drill is not None:
            return
        self.of(flow.upstream_name or self._chosen()).answered(flow, headers)
        self._look_at_all()

    def ended(self, flow: Flow) -> None:
        """Take note of how a request ended, for the upstream that was asked last.

        One that succeeded without any says nothing of them, nor does a drill.
        """
        if flow.drill is not None:
            return
        if flow.upstream_name or flow.failure is not None:
            self.of(flow.upstream_name or self._chosen()).ended(flow)
        self._look_at_all()

    def down(self) -> list[str]:
        """Return the names of those that could not be used, for a reason that may go by itself."""
        return [name for name, health in list(self._by_name.items()) if health.is_down()]

    def next_end(self) -> float | None:
        """Return the wall-clock time of the next end of a rate limit, None where none is in force."""
        ends = [health.current.until for health in list(self._by_name.values())]
        return min((end for end in ends if end is not None), default=None)

    def forget(self, names: Collection[str]) -> None:
        """Forget upstreams that are gone, or are others now; any thread."""
        for name in names:
            if self._by_name.pop(name, None) is not None:
                self._tell(name, None, Health())

    def _look_at_all(self) -> None:
        """Ask to be told of what is good as long as that would change something for one of them."""
        self.is_content = all(health.is_content for health in list(self._by_name.values()))

    def _tell(self, name: str, source: UpstreamHealth | None, current: Health) -> None:
        if source is not None and self._by_name.get(name) is not source:  # it is about one that is forgotten
            return
        for listener in self._listeners:
            listener(replace(current, upstream=name))
