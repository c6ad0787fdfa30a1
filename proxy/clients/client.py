"""What is known of a client program: its name, its settings file, what is written there, how its requests look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.clients.edits import Edit, Format, apply

PROVIDER = "openai-tray-proxy"  # what the proxy is called in a client's settings
TITLE = "OpenAI Tray Proxy"
ANY_KEY = "any"  # the proxy asks for none
SOME_MODEL = "MODEL"
MAX_MODELS = 20


@dataclass(frozen=True)
class Target:
    """What a client is pointed at."""

    base_url: str  # ends in /v1
    key: str = ANY_KEY
    models: tuple[str, ...] = ()  # the first is the one to begin with

    def __repr__(self) -> str:  # a dataclass's own would show the key in a traceback
        return f"Target({self.base_url!r})"

    @property
    def root_url(self) -> str:
        """Return the address without /v1, as Claude's API has it."""
        return self.base_url.removesuffix("/v1")

    @property
    def model(self) -> str:
        """Return the model to begin with."""
        return self.models[0] if self.models else SOME_MODEL


@dataclass(frozen=True)
class SettingsFile:
    """A client's settings file, and what is written to it."""

    find: Callable[[], Path]
    form: Format
    edits: Callable[[Target], tuple[Edit, ...]]
    needs_model: bool = False


@dataclass(frozen=True)
class Client:
    """One client program."""

    name: str
    title: str
    steps: str  # what its user does, beside what is written
    snippet: Callable[[Target], str]
    file: SettingsFile | None = None  # None: its user enters the snippet by hand
    user_agents: tuple[str, ...] = ()  # how its requests begin to name it; in the ledger's words, name and version
    arguments: Callable[[Target], list[str]] = lambda target: []  # noqa: ARG005  for `run`, behind its name
    environment: Callable[[Target], Mapping[str, str]] = lambda target: {}  # noqa: ARG005  for `run`

    def is_own(self, user_agent: str | None, key_name: str | None) -> bool:
        """Tell whether a request is this client's, by its key or by how it names itself."""
        if key_name:
            return key_name == self.title
        return bool(user_agent) and str(user_agent).startswith(self.user_agents or ("\0",))


def in_file(file: SettingsFile) -> Callable[[Target], str]:
    """Return a snippet: what the settings file would hold if it held nothing else."""
    return lambda target: apply(file.form, "", file.edits(target))
