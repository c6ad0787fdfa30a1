"""Somebody who is told of changes of the settings."""

from proxy.errors.configuration import PortTaken
from proxy.settings.model import Settings


class Listener:
    """Remember each change; refuse the first one where asked to."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[tuple[int, int]] = []
        self._refuses = refuses

    def __call__(self, old: Settings, new: Settings) -> None:
        self.told.append((old.proxy_port, new.proxy_port))
        if self._refuses:
            raise PortTaken("port 9001 is taken by another program")
