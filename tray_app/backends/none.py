"""No tray: servers, containers and desktops without one. The dashboard is the interface."""

from tray_app.backends.stopping import Stopping


class NoTray:
    """Show nothing, and wait."""

    name = "none"
    is_shown = False
    can_notify = False

    def __init__(self, why: str) -> None:
        self.why = why
        self._stopping = Stopping()

    def run(self) -> None:
        """Wait for `stop`; main thread only."""
        while not self._stopping.wait():
            pass

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._stopping.ask()

    def refresh(self) -> None:
        """Do nothing: there is nothing to draw."""

    def notify(self, title: str, text: str) -> bool:  # noqa: ARG002  the interface's parameters
        """Return False: there is nobody to tell."""
        return False
