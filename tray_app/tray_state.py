"""The values that the tray shows; `view.look` computes the tray's look from them."""

from dataclasses import dataclass

from proxy.flow.health import Health
from proxy.keys.upstream_key import KeyState


@dataclass(frozen=True)
class UpstreamChoice:
    """One upstream, as the menu offers it."""

    name: str
    is_chosen: bool
    state: str  # in words: healthy, cooling down, no key, and the like


@dataclass(frozen=True)
class FoundHere:
    """A model server on this computer that is no upstream yet."""

    name: str  # the upstream's, where it is added
    title: str
    base_url: str


@dataclass(frozen=True)
class ToolChoice:
    """One tool, as the menu offers it."""

    name: str
    is_on: bool


@dataclass(frozen=True)
class TrayState:
    """What the tray shows; read again for each look."""

    title: str
    version: str
    base_url: str | None  # where the server listens; None while it is off
    start_problem: str | None  # why the server could not start
    key: KeyState
    needs_no_key: bool  # clients send their own, or the keyring has not been read yet
    health: Health
    is_working: bool
    upstream: str
    tools_on: bool
    tools_fixed_by: str | None  # the environment or the command line, if they set it
    key_required: bool
    key_required_fixed_by: str | None
    pending_tools: tuple[str, ...]  # tools that wait for approval
    click_problem: str | None  # why the last click failed
    settings_problem: str | None  # what is wrong with the settings file
    settings_known: bool  # the last good ones are in force; if there are none, nothing is relayed
    log_problem: str | None  # why the log cannot be written
    other_port: int | None  # a free port to offer if the configured one is taken
    has_stored_key: bool = False  # the environment's key is in force, and another one is stored
    tools: tuple[ToolChoice, ...] = ()  # as far as they are loaded
    tools_cost: str = ""  # what they add to each request
    tool_off_fixed_by: str | None = None
    upstreams: tuple[UpstreamChoice, ...] = ()
    found_here: tuple[FoundHere, ...] | None = None  # None: nobody has looked yet
    upstream_fixed_by: str | None = None  # the environment or the command line, if they choose it
    starts_at_login: bool = False
    login_problem: str | None = None  # why it will not start at login although it is to
    newer_version: str | None = None
    is_in_applications: bool = True  # there is a launcher in the applications menu
    today: str = ""  # what today's requests used; "" before the first
    capture_paused: bool | None = None  # None: the settings have switched it off
