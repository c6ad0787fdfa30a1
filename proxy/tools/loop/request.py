"""What the loop is given of a request, and what it sends back where it makes an answer itself."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.http.answer import Answer, WholeAnswer, whole
from proxy.http.headers import Headers
from proxy.http.json_text import Written
from proxy.tools.tool import CallRecord, JsonObject, Tool


@dataclass(frozen=True)
class ToolRequest:
    """One request, and the way to ask the upstream for it, in as many rounds as it takes."""

    path: str
    upstream: str  # the address of the one that is asked
    fields: JsonObject  # the body, read
    content: bytes  # the body as it goes upstream without tools
    request_id: str
    caller: str = field(repr=False)  # whose results of earlier turns may be put back; maybe a key
    send: Callable[[bytes], Awaitable[Answer]]
    rewrite: Callable[[bytes, Mapping[str, Any]], bytes]  # change some members of the content
    note_round: Callable[["Round"], None]  # called after each round
    note_repair: Callable[[str], None]  # called when something had to be put right
    begin: Callable[[], None]  # called before a tool begins: whoever sends the request again has it run again
    client: str | None = None  # the calling program
    key_name: str | None = None  # of the proxy key it has shown


@dataclass(frozen=True)
class Offer:
    """What a request is offered: our tools, those whose names the client has not taken."""

    tools: Mapping[str, Tool]
    client_names: frozenset[str]
    definitions: tuple[Written, ...]  # as this API has them
    is_forced: bool  # the client asks for one of ours by name: once, and not in the rounds after

    def is_ours(self, name: str) -> bool:
        """Tell whether a call is ours to answer: a name nobody offered is, for the model must be told."""
        return name not in self.client_names

    def may_become(self, beginning: str) -> bool:
        """Tell whether a name that has only begun to arrive could yet become a different known one."""
        known = (*self.client_names, *self.tools)
        return any(name != beginning and name.startswith(beginning) for name in known)


@dataclass(frozen=True)
class ModelCall:
    """One call the model asks for."""

    id: str
    name: str
    arguments: str  # as they came, as text; "" where the model gave none
    is_ours: bool


@dataclass(frozen=True)
class Turn:
    """One turn of the model's, as far as both APIs have it: the calls in it."""

    calls: tuple[ModelCall, ...]

    @property
    def ours(self) -> tuple[ModelCall, ...]:
        """Return the calls the proxy answers."""
        return tuple(call for call in self.calls if call.is_ours)

    @property
    def clients(self) -> tuple[ModelCall, ...]:
        """Return the calls that are the client's."""
        return tuple(call for call in self.calls if not call.is_ours)


@dataclass(frozen=True)
class Round:
    """One turn of the model's that called tools of ours."""

    calls: tuple[CallRecord, ...]
    seconds: float  # until the last of them was done
    is_mixed: bool = False  # the client was handed calls of its own beside these


def whole_answer(status: int, headers: Headers, body: bytes, usage: Mapping[str, Any] | None = None) -> WholeAnswer:
    """Return an answer the loop has made, with what all its rounds have counted."""
    return whole(status, headers, body, usage)


def compact(value: object) -> bytes:
    """Write compact JSON; half characters stay the escapes they were."""
    return json.dumps(value, separators=(",", ":")).encode()


def sum_usage(one: Any, other: Any) -> Any:
    """Add two usage objects, number by number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: sum_usage(one.get(name), other.get(name)) for name in {**one, **other}}
    if is_number(one) and is_number(other):
        return one + other
    return one if other is None else other


def is_number(value: object) -> bool:
    """Tell whether a value is a number that can be added."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
