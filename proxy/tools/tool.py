"""A tool as the rest of the room sees it: what the model is told of it, how a call begins, and how calls end."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

JsonObject = dict[str, Any]
Outcome = Literal[
    "ok", "unknown name", "bad arguments", "failed", "timed out", "too large", "too many", "refused", "not connected"
]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the OpenAI API takes for a function's name


class CallFailed(Exception):
    """A call that gave no result. Its text goes to the model: short, without traceback and without paths."""

    def __init__(self, outcome: Outcome, told: str) -> None:
        self.outcome = outcome
        super().__init__(told)


class NotATool(Exception):
    """Say why something cannot be offered to the model."""


def told_of(error: BaseException) -> str:
    """Return an exception's kind and first line, whatever the user's code has made of either."""
    kind = type.__dict__["__name__"].__get__(type(error))
    try:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = str.__str__(said).partition("\n")[0]
    except BaseException:  # noqa: BLE001  __str__ is the user's code
        text = "it cannot be turned into text"
    return f"{kind}: {text}" if text else str(kind)


@dataclass(frozen=True, eq=False)
class Tool:
    """One tool; two are the same where they are one object.

    `invoke` takes the arguments as JSON text (the text of one object, as `read_arguments` reads it), holds them against
    the schema and returns the result; where `is_async`, something that returns it when awaited. It raises CallFailed
    for arguments that do not fit, and whatever the tool raises.
    """

    name: str
    description: str
    parameters: JsonObject  # a JSON schema
    invoke: Callable[[str], Any]
    is_async: bool = False
    source: str = "function_tools.py"
    may_block: bool = False  # its code is a stranger to us: where it awaits, it does so on an event loop of its own
    is_trusted: bool = True  # runs without a question where the user has not decided otherwise
    keeps_time: bool = False  # raises CallFailed by itself when its time is up

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise NotATool("its name must be made of at most 64 letters, digits, _ and -, all of them ASCII")


@dataclass(frozen=True)
class CallRecord:
    """What became of one call. Arguments and result stay in memory."""

    name: str
    arguments: str
    result: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class ServerState:
    """How an MCP server is doing."""

    name: str
    way: str  # stdio, http or sse
    state: Literal["running", "starting", "down"]
    problem: str | None
    tools: int
    last_words: tuple[str, ...]  # the last lines of its error output, the oldest first, without secrets


@dataclass(frozen=True)
class Overview:
    """The tools as they stand, for whoever shows them."""

    tools: tuple[Tool, ...]
    servers: tuple[ServerState, ...]
    problems: tuple[str, ...]
