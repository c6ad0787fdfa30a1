"""The backend for systems without a tray; the dashboard is the interface."""

from tray_app.backends.stop_request import StopRequest


class NoTray:
    """Show nothing and wait for `stop`."""

    name = "none"
    is_shown = False
    can_notify = False

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._stop_request = StopRequest()

    def run(self) -> None:
        """Wait for `stop`; main thread only."""
        while not self._stop_request.wait():
            pass

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._stop_request.make()

    def refresh(self) -> None:
        """Do nothing: there is nothing to draw."""

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: there are no notifications."""
        return False
