"""What an observer of a proxy hears."""

from fakes.running_proxy import RunningProxy
from proxy.flow.flow import Flow
from proxy.flow.observers import Observer
from proxy.http.headers import Headers
from waiting import wait_for


class Flows(Observer):
    """Hear of every request a proxy serves from now on."""

    def __init__(self, proxy: RunningProxy) -> None:
        self.heard: list[tuple[str, Flow]] = []  # event and flow
        self._observers = proxy.services.observers
        self._stop = self._observers.subscribe(self)

    def begun(self, flow: Flow) -> None:
        """Keep it."""
        self.heard.append(("begun", flow))

    def answered(self, flow: Flow, headers: Headers) -> None:
        """Keep it."""
        self.heard.append(("answered", flow))

    def chunk(self, flow: Flow, data: bytes) -> None:
        """Keep it."""
        self.heard.append(("chunk", flow))

    def ended(self, flow: Flow) -> None:
        """Keep it."""
        self.heard.append(("ended", flow))

    def stop(self) -> None:
        """Hear of no more, once every request has ended."""
        wait_for(lambda: self._observers.running == 0, "the end of every request")
        wait_for(self._has_heard_all, "the end of every request that has begun")
        self._stop()

    def _has_heard_all(self) -> bool:
        events = [event for event, _ in self.heard]
        return 0 < events.count("begun") == events.count("ended")

    def finished(self) -> list[Flow]:
        """Return the flows that are over, once all are; nothing later is heard."""
        self.stop()
        return [flow for event, flow in self.heard if event == "ended"]
