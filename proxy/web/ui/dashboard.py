"""What the dashboard shows and changes, and the links to its pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.capture.capture import Capture
from proxy.capture.disk import Kept
from proxy.capture.record import Record
from proxy.exchange.drills import Drills
from proxy.flow.healths import Healths
from proxy.flow.upstream_state import UpstreamState
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.upstream_key import Secrets
from proxy.keys.upstream_keys import UpstreamKeys
from proxy.policy.refused_origins import RefusedOrigins
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import Upstream
from proxy.tools.consent import Consent
from proxy.tools.execution import ToolExecution
from proxy.usage.prices import Prices
from proxy.usage.spending import Spending
from proxy.web.on_loop import Performed
from proxy.web.ui.sessions import Sessions

PLACES = {  # where a link may lead, beside the first page, and the view of each
    **{name: f".{name}" for name in ("doctor", "approvals", "upstreams", "connect")},
    **{name: f".{name}_page" for name in ("requests", "usage", "settings", "log")},
}


@dataclass(frozen=True)
class Dashboard:
    """The program around the pages: what differs between the tray and the terminal program."""

    examine: Callable[[], Sequence[object]]  # look for common problems; may take some seconds
    token: str  # who knows it may ask for a link
    activate: Callable[[], None] = lambda: None  # a second copy was started: come to the front
    stop: Callable[[], None] | None = None  # end the program, after the answer; None where a terminal does that
    report: Callable[[], str] = lambda: "{}"  # what the program says of itself to the doctor, as JSON; any thread
    sessions: Sessions = field(default_factory=Sessions)

    def link(self, root_url: str, to: str = "") -> str:
        """Return a link to one of the pages; it works once."""
        return f"{root_url}/ui/enter?ticket={self.sessions.ticket()}" + (f"&to={to}" if to in PLACES else "")


class ModelServer(Protocol):
    """A server of models on this computer."""

    @property
    def name(self) -> str:
        """Return the default name of an upstream of its kind."""

    @property
    def title(self) -> str:
        """Return the program's name."""

    @property
    def base_url(self) -> str:
        """Return its address."""

    @property
    def models(self) -> tuple[str, ...]:
        """Return the ids of its models."""


class Step(Protocol):
    """One step of a trial; `str()` is its result in words."""

    @property
    def is_good(self) -> bool:
        """Return whether the step succeeded."""


@dataclass(frozen=True)
class RequestParts:
    """The parts of the proxy behind the pages about requests."""

    capture: Capture
    prices: Callable[[], Prices]
    hide: Callable[[str], str]  # takes the keys out of a text
    ledger_file: Path
    spending: Spending
    kept: Kept  # on the disk
    send_again: Callable[[Record, str | None, str | None], str]  # to an upstream, with a model; return the new id


@dataclass(frozen=True)
class PageParts:
    """The parts of the proxy that the pages show and change."""

    store: SettingsStore
    secrets: Secrets
    health: Healths
    consent: Consent
    refused_origins: RefusedOrigins
    allow_origin: Callable[[str], None]  # raises ProxyError, OSError
    try_key: Callable[[str], str | None]  # return what the upstream says against a key; blocks
    recent_log: Callable[[], Sequence[str]]
    upstream_keys: UpstreamKeys
    try_upstream: Callable[[Upstream, str | None], str | None]  # with a key that is not kept yet; None: the held one
    try_out: Callable[[Upstream, str | None], Sequence[Step]]  # models, and a chat with a model; blocks
    find_local: Callable[[], Sequence[ModelServer]]  # model servers on this computer; blocks for a moment
    state_of: Callable[[Upstream], UpstreamState]  # how an upstream is doing
    learned: Callable[[], Sequence[str]]  # repairs learned from refusals, in words
    forget_learned: Callable[[], int]  # raises OSError
    tools: ToolExecution
    ledger_file: Path
    requests: RequestParts
    proxy_keys: ProxyKeys
    chat: Callable[[bytes], Performed]  # what sends a chat's body through the pipeline, and streams the answer
    drills: Drills
    newer_version: Callable[[], str | None]  # None: none is known
