"""The result of a check, and what checks need to know."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.flow.healths import Healths
from proxy.flow.upstream_state import UpstreamState
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.upstream_key import Keychain, KeyState, Secrets
from proxy.keys.upstream_keys import UpstreamKeys
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import Upstream
from proxy.tools.execution import ToolExecution
from proxy.upstream.learned import LearnedFacts
from proxy.upstream.steps import Probe, Step


@dataclass(frozen=True)
class Finding:
    """The result of a check."""

    title: str
    is_good: bool
    detail: str
    steps: tuple[Step, ...] = ()  # what was tried one after the other, with its time, where there is more than one


class Ledger(Protocol):
    """The ledger of finished requests."""

    @property
    def file(self) -> Path:
        """Return its path."""


class Examined(Protocol):
    """What the checks need of the program."""

    @property
    def store(self) -> SettingsStore:
        """Return the settings."""

    @property
    def secrets(self) -> Secrets:
        """Return the upstream's key."""

    @property
    def upstream_keys(self) -> UpstreamKeys:
        """Return the keys of all upstreams."""

    @property
    def keychain(self) -> Keychain:
        """Return the keyring."""

    @property
    def proxy_keys(self) -> ProxyKeys:
        """Return the proxy keys."""

    @property
    def tools(self) -> ToolExecution:
        """Return the tools."""

    @property
    def learned(self) -> LearnedFacts:
        """Return what was learned about upstreams and their models."""

    @property
    def health(self) -> Healths:
        """Return the health of the upstreams, from the last requests."""

    def state_of(self, upstream: Upstream) -> UpstreamState:
        """Return the state of an upstream."""

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of finished requests."""

    def probe_upstream(self, upstream: Upstream, key: str | None) -> Probe:
        """Connect to an upstream step by step, and try a key; blocks for some seconds."""

    def hide(self, text: str) -> str:
        """Remove the keys from a text."""


@dataclass
class Examination:
    """One run of the doctor: parallel checks share what is asked once. For any thread."""

    parts: Examined
    probes: dict[str, Future[Probe]] = field(default_factory=dict)  # by the upstream's name
    _states: dict[str, KeyState] = field(default_factory=dict)
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def key_of(self, upstream: Upstream) -> KeyState:
        """Return an upstream's key, read once, as a locked keyring prompts the user each time. It may block."""
        with self._reading:
            if upstream.name not in self._states:
                secrets = self.parts.upstream_keys.of(upstream)
                needs_none = upstream.auth == "none"
                self._states[upstream.name] = secrets.state if secrets.state.key or needs_none else secrets.load()
            return self._states[upstream.name]

    def lacks_key(self, upstream: Upstream) -> bool:
        """Return whether an upstream needs a key and has none. It may block."""
        return upstream.auth != "none" and not upstream.is_local and self.key_of(upstream).key is None


@dataclass(frozen=True)
class Check:
    """A check: its title and its function."""

    title: str
    look: Callable[[Examination], Finding]
    limit_s: float = 10.0
