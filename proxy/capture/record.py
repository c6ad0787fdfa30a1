"""What is held of one request: references to the bytes that passed, never copies. Written on the event loop alone."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proxy.flow.flow import Flow
from proxy.http.headers import Headers

CHUNK_OVERHEAD_BYTES = 120  # what Python needs to hold a chunk beside its bytes
LARGE_BYTES = 65_536
TOLD_FROM_BYTES = 4_096  # after its first chunk, what a running stream has grown by is told in steps of this
PART_OVERHEAD_BYTES = 500  # the same for a set of headers, or one attempt

NO_HEADERS = Headers()  # shared, and never changed

Chunk = tuple[float, bytes]  # the seconds since the request began, and the bytes


@dataclass(slots=True)
class Attempt:
    """The request as it was sent once, and what came back."""

    at_s: float  # since the request began
    upstream: str
    url: str
    method: str
    headers: Headers
    body: bytes | None  # None: there was none, or it was passed on as it arrived
    status: int | None = None  # None: no answer
    answer_headers: Headers = field(default_factory=lambda: NO_HEADERS)
    answered_at_s: float | None = None
    failure: str | None = None
    sent_headers: Headers | None = field(default=None, repr=False)  # as they were sent, the key in them

    def note_headers(self, headers: Headers) -> None:
        """Take the headers as they are sent, those we add among them."""
        self.sent_headers = headers

    @property
    def shown(self) -> Headers:
        """Return the headers as they were sent, those of the request where nothing was sent."""
        return self.headers if self.sent_headers is None else self.sent_headers


class Record:
    """One request: always the flow, and its bodies as long as there is room for them."""

    __slots__ = (
        "answer_headers",
        "attempts",
        "body",
        "cache_miss",
        "chunks",
        "fingerprint",
        "flow",
        "headers",
        "is_dropped",
        "note_size",
        "noted_bytes",
        "query",
        "received",
        "size_bytes",
        "task",
    )

    def __init__(
        self, flow: Flow, note_size: Callable[[int], None] | None, task: "asyncio.Task[object] | None" = None
    ) -> None:
        self.flow = flow
        self.note_size = note_size  # called with each growth in bytes; None: nothing but the flow is held
        self.task = task  # what performs it, until it is over
        self.fingerprint: Any = None  # of its prompt, once somebody asked; and
        self.cache_miss: tuple[Any] | None = None  # what its cache missed, where that was worked out
        self.headers = self.received = self.answer_headers = NO_HEADERS
        self.query = ""
        self.body: bytes | None = None
        self.attempts: list[Attempt] = []
        self.chunks: list[Chunk] = []
        self.is_dropped = False  # there was no more room for its bodies
        self.size_bytes = self.noted_bytes = 0  # and of these, those that were told to `note_size`

    @property
    def is_captured(self) -> bool:
        """Tell whether headers and bodies are held."""
        return self.note_size is not None and not self.is_dropped

    def came(self, headers: Headers, query: str, received: Headers = NO_HEADERS) -> None:
        """Take those of the client's headers that may go upstream, the query of its address, and all it sent."""
        if not self.is_dropped:
            self.headers, self.query, self.received = headers, query, received or headers
            self.size_bytes += PART_OVERHEAD_BYTES

    def body_came(self, body: bytes) -> None:
        """Take the client's body."""
        if not self.is_dropped:
            self.body = body
            self.size_bytes += len(body)
            if len(body) > LARGE_BYTES:
                self.tell_size()

    def sent(self, upstream: str, url: str, method: str, headers: Headers, body: object) -> Attempt:
        """Take what is being sent; the caller fills in how it went."""
        held = body if isinstance(body, bytes) and not self.is_dropped else None
        attempt = Attempt(time.monotonic() - self.flow.began, upstream, url, method, headers, held)
        if self.is_dropped:
            return attempt
        self.size_bytes += PART_OVERHEAD_BYTES
        if held is not None and held is not self.body and all(held is not each.body for each in self.attempts):
            self.size_bytes += len(held)
        self.attempts.append(attempt)
        return attempt

    def answered(self, headers: Headers) -> None:
        """Take the headers the client is given."""
        if not self.is_dropped:
            self.answer_headers = headers

    def chunk(self, data: bytes) -> None:
        """Take a piece of the answer as the client gets it."""
        if self.is_dropped:
            return
        self.chunks.append((time.monotonic() - self.flow.began, data))
        size_bytes = self.size_bytes = self.size_bytes + len(data) + CHUNK_OVERHEAD_BYTES
        if not self.noted_bytes or size_bytes - self.noted_bytes > TOLD_FROM_BYTES:
            self.tell_size()

    def drop(self) -> int:
        """Let go of everything but the flow; return the bytes that are free again."""
        freed, self.size_bytes, self.noted_bytes, self.is_dropped = self.noted_bytes, 0, 0, True
        self.headers = self.received = self.answer_headers = NO_HEADERS
        self.query, self.body = "", None
        self.attempts, self.chunks = [], []
        return freed

    def answer_bytes(self) -> bytes:
        """Return the answer as far as it has come."""
        return b"".join(data for _, data in list(self.chunks))

    def tell_size(self) -> None:
        """Tell how much is held beside what was told before; small parts wait for the next large one."""
        grown = self.size_bytes - self.noted_bytes
        if grown and self.note_size is not None:
            self.noted_bytes = self.size_bytes  # first: it may have this record dropped
            self.note_size(grown)
