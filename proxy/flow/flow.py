"""What is known of one request, filled in as it goes. Written on the event loop alone."""

import itertools
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, NamedTuple, Protocol

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.upstream import (
    CancelledByUser,
    ProxyStopped,
    UpstreamFailure,
    UpstreamInvalidEvent,
    UpstreamInvalidResponse,
    UpstreamProtocolFailure,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnexpectedStatus,
)
from proxy.http.headers import Headers

RUN = secrets.token_hex(4)  # tells the ids of this run from those of another
NUMBERS = itertools.count(1)
# What the counts of input and output are called, and what stands beside them: by completions, by responses.
TOKENS = (
    ("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details"),
    ("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details"),
)
MAX_TOKENS = 2**40  # a larger count is none; the ledger's numbers, and their sums, have 64 bits
CACHE_READ, CACHE_WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
DECODER = json.JSONDecoder()


class Outcome(Enum):
    """How a request ended. The values are what the log says."""

    WHOLE = "whole"
    REPAIRED = "repaired"  # whole, after the proxy had put something right
    CUT = "cut by the upstream"
    TIMED_OUT = "timed out"
    INVALID = "invalid answer"
    UNREACHABLE = "upstream unreachable"
    REFUSED_BY_PROXY = "refused by the proxy"
    REFUSED_BY_UPSTREAM = "refused by the upstream"
    CANCELLED = "cancelled by the client"
    STOPPED = "stopped with the proxy"
    FAILED = "failed in the proxy"


# Read from the top: the first class that fits decides.
OUTCOME_OF: tuple[tuple[type[ProxyError], Outcome], ...] = (
    (ProxyStopped, Outcome.STOPPED),
    (CancelledByUser, Outcome.CANCELLED),
    (UpstreamTimeout, Outcome.TIMED_OUT),
    (UpstreamTruncated, Outcome.CUT),
    (UpstreamInvalidEvent, Outcome.INVALID),
    (UpstreamInvalidResponse, Outcome.INVALID),
    (UpstreamUnexpectedStatus, Outcome.INVALID),
    (UpstreamProtocolFailure, Outcome.INVALID),
    (UpstreamFailure, Outcome.UNREACHABLE),
    (ServerFault, Outcome.FAILED),
    (ProxyError, Outcome.REFUSED_BY_PROXY),
)


# No `[DONE]` at the end of a stream; an error with status 200; nothing for as long as a keep-alive comment takes.
Fault = Literal["no_done", "error_inside", "silent"]


class Usage(NamedTuple):
    """The tokens of one request."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0  # of the input, those read from the upstream's cache
    reasoning_tokens: int = 0  # of the output, those the client does not see
    cache_written_tokens: int = 0  # of the input, those the upstream has put into its cache

    @classmethod
    def of(cls, counted: Mapping[str, Any] | None) -> "Usage | None":
        """Read the usage object of any endpoint, None where it holds no counts."""
        if not isinstance(counted, dict):  # upstreams send anything there
            return None
        for up, up_details, down, down_details in TOKENS:
            if isinstance(counted.get(up), int):
                details = counted.get(up_details)
                cached, written = count(details, "cached_tokens"), count(details, "cache_write_tokens")
                reasoning = count(counted.get(down_details), "reasoning_tokens")
                # Claude's API counts what it read from its cache, or wrote to it, beside the input.
                beside_read, beside_written = count(counted, CACHE_READ), count(counted, CACHE_WRITTEN)
                total = count(counted, up) + beside_read + beside_written
                cached = min(cached + beside_read, total)  # more of it would cost less than nothing
                return cls(total, count(counted, down), cached, reasoning, min(written + beside_written, total))
        return None

    def __str__(self) -> str:
        return f"{self.input_tokens}+{self.output_tokens} tokens"


def new_request_id() -> str:
    """Return an id no other request of any run has."""
    return f"proxy-{RUN}-{next(NUMBERS)}"


class Attempt(Protocol):
    """One sending of a request, as a recorder holds it."""

    status: int | None
    answer_headers: Headers
    answered_at_s: float | None  # since the request began
    failure: str | None

    def note_headers(self, headers: Headers) -> None:
        """Take the headers as they are sent, those we add among them."""


class Recorder(Protocol):
    """Who holds what passes of one request, by reference: bytes that are handed over are never changed."""

    def came(self, headers: Headers, query: str, received: Headers) -> None:
        """Take those of the client's headers that may go upstream, the query of its address, and all it sent."""

    def body_came(self, body: bytes) -> None:
        """Take the client's body."""

    def sent(self, upstream: str, url: str, method: str, headers: Headers, body: object) -> Attempt:
        """Take what is being sent; the caller fills in how it went."""

    def answered(self, headers: Headers) -> None:
        """Take the headers the client is given."""

    def chunk(self, data: bytes) -> None:
        """Take a piece of the answer as the client gets it."""


@dataclass(slots=True)
class Flow:
    """One request on its way. Times are seconds since it began, but for `began_at`."""

    method: str
    path: str  # below the base URL
    id: str = field(default_factory=new_request_id)
    key_name: str | None = None  # of the proxy key it came with
    is_own_key: bool = True  # it is asked with the key the proxy holds, not with the caller's
    client: str | None = None  # the calling program
    began_at: float = field(default_factory=time.time)  # the wall clock, in seconds
    began: float = field(default_factory=time.monotonic)
    model_asked: str | None = None
    model_sent: str | None = None
    upstream: str | None = None  # by its name; one that nobody has named, by the host of its address
    upstream_name: str = ""  # its name in the table, also where nobody has given it one; "" before one is asked
    upstream_host: str | None = None  # and port, of its address
    attempts: int = 0  # how often an upstream was asked
    upstream_status: int = 0  # of the last answer, as it came
    upstream_words: str = ""  # what its last answer says of the matter, where that is a failure
    refused_for: Literal["", "key", "credit"] = ""  # what the last answer was a refusal of: the key, or its money
    status: int | None = None  # what the client is told
    first_byte_s: float | None = None  # when the answer's first byte left for the client
    last_byte_s: float | None = None
    bytes_up: int = 0  # of the client's body
    bytes_down: int = 0  # of the answer's body
    outcome: Outcome | None = None  # None while it runs
    failure: ProxyError | None = None
    usage: Usage | None = None
    rules: tuple[str, ...] = ()  # the parameter rules that changed the body
    repairs: tuple[str, ...] = ()
    faults: frozenset[Fault] = frozenset()  # of the upstream, whatever was made of them
    tool_rounds: tuple[Any, ...] = ()  # what the tools room calls a Round
    is_resting: bool = False  # an open WebSocket, which counts as running no more
    is_probe: bool = False  # somebody only looked what is here
    is_cancelled: bool = False  # the user has ended it, from the program's own pages
    drill: str | None = None  # the fault that its answer is to have, for the user to see what the client makes of it
    recorder: Recorder | None = None  # who holds its bodies; None: nobody wants them

    def elapsed_s(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self.began

    def note_repair(self, what: str) -> None:
        """Take note of something the proxy has put right."""
        self.repairs = (*self.repairs, what)

    def note_fault(self, fault: Fault) -> None:
        """Take note of what the upstream did wrong; twice is no error."""
        self.faults |= {fault}

    def end(self, outcome: Outcome, failure: ProxyError | None, usage: Mapping[str, Any] | None) -> bool:
        """Write down how it ended, with the upstream's usage object; False where it has ended before."""
        if self.outcome is not None:
            return False
        self.outcome, self.failure, self.usage = outcome, failure, Usage.of(usage)
        self.last_byte_s = time.monotonic() - self.began
        return True

    def frozen(self) -> "Flow":
        """Return a copy that cannot change, for other threads."""
        return FrozenFlow(**{name: getattr(self, name) for name in FIELDS})


class FrozenFlow(Flow):
    """A copy of a flow, as it was."""

    __slots__ = ()

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: a copy of a flow does not change")


FIELDS = tuple(each.name for each in fields(Flow))


def outcome_of(status: int, failure: ProxyError | None, *, is_repaired: bool) -> Outcome:
    """Return how a request ended that was answered to its end, or failed."""
    if failure is not None:
        return next(outcome for kind, outcome in OUTCOME_OF if isinstance(failure, kind))
    if status >= 400:
        return Outcome.REFUSED_BY_UPSTREAM
    return Outcome.REPAIRED if is_repaired else Outcome.WHOLE


def count(counted: object, name: str) -> int:
    """Return a count, 0 where there is none, or one below zero: it would take off what others have used."""
    value = counted.get(name) if isinstance(counted, dict) else None
    return min(max(value, 0), MAX_TOKENS) if isinstance(value, int) else 0


def find_usage(body: bytes) -> Mapping[str, Any] | None:
    """Return the usage object of a JSON answer without reading the rest: a text cannot hold its name unescaped."""
    place = body.rfind(b'"usage"')
    start = body.find(b"{", place)
    if place < 0 or start < 0:
        return None
    try:
        value, _ = DECODER.raw_decode(body[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
