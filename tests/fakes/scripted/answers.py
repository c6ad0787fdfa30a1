"""The answers that keep to HTTP: whole documents, event streams, and scripts of single steps."""

import gzip
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fakes.scripted.recorded import Recorded
from fakes.scripted.steps import Body, Chunk, EndHead, Header, Pause, Status, Step

Headers = Sequence[tuple[str, str]]
Event = dict[str, Any] | str | bytes


class Answer(ABC):
    """What the upstream does with one request; with `before_body` it does so before reading the request's body."""

    before_body: ClassVar[bool] = False

    @abstractmethod
    def script(self, request: Recorded) -> Iterable[Step]:
        """Return the steps to run."""


@dataclass(frozen=True)
class Script(Answer):
    """Run these steps; without a closing step the answer is ended properly and the connection kept."""

    steps: Sequence[Step]

    def script(self, request: Recorded) -> Iterable[Step]:
        return self.steps


def document(status: int, headers: Headers, content_type: str, body: bytes) -> list[Step]:
    """Return the steps that answer a whole body at once."""
    return [Status(status), Header("Content-Type", content_type), *(Header(*header) for header in headers), Body(body)]


@dataclass(frozen=True)
class Json(Answer):
    """Answer a JSON document; lone surrogates and NaN are sent as Python writes them."""

    value: Any
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        return document(self.status, self.headers, "application/json", json.dumps(self.value).encode())


@dataclass(frozen=True)
class Content(Answer):
    """Answer a body of any content type."""

    body: bytes
    content_type: str = "application/octet-stream"
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        return document(self.status, self.headers, self.content_type, self.body)


@dataclass(frozen=True)
class Text(Answer):
    """Answer plain text."""

    text: str
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        return document(self.status, self.headers, "text/plain; charset=utf-8", self.text.encode())


@dataclass(frozen=True)
class Html(Answer):
    """Answer a page, as gateways and captive portals do."""

    page: str = "<html><head><title>Sign in</title></head><body>Please sign in to this network.</body></html>"
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        return document(self.status, self.headers, "text/html; charset=utf-8", self.page.encode())


@dataclass(frozen=True)
class Redirect(Answer):
    """Send the client elsewhere."""

    location: str
    status: int = 307

    def script(self, request: Recorded) -> Iterable[Step]:
        return document(self.status, [("Location", self.location)], "text/plain", b"")


@dataclass(frozen=True)
class Gzip(Answer):
    """Answer a gzip-encoded body whether or not the client asked for one."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        headers = [*self.headers, ("Content-Encoding", "gzip")]
        return document(self.status, headers, self.content_type, gzip.compress(self.body))


@dataclass(frozen=True)
class Echo(Answer):
    """Answer as JSON what was received: method, target, headers, and length and sha256 of the body."""

    def script(self, request: Recorded) -> Iterable[Step]:
        seen = {
            "method": request.method,
            "target": request.target,
            "headers": [list(header) for header in request.headers],
            "body_length": len(request.body),
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
        }
        return Json(seen).script(request)


@dataclass(frozen=True)
class Sse(Answer):
    """Stream events: a dict as JSON and a str as text after `data: `, bytes untouched and without framing.

    `gap_s` is waited before every write, after the head has been sent. `cut` joins all events and writes them in
    pieces of that many bytes instead. `end` is a step to run in place of the proper end: `Fin()`, `Reset()`,
    `Stall()`. Without `chunked` the body has no framing and ends with the connection.
    """

    events: Sequence[Event]
    done: bool = True
    gap_s: float = 0
    framing: str = "\n\n"
    cut: int | None = None
    end: Step | None = None
    chunked: bool = True
    status: int = 200
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        yield Status(self.status)
        yield Header("Content-Type", "text/event-stream; charset=utf-8")
        for header in self.headers:
            yield Header(*header)
        yield EndHead(chunked=self.chunked)
        pieces = self._pieces()
        for number, piece in enumerate(pieces, start=1):
            yield Pause(self.gap_s)
            # The end travels with the last piece: a client that leaves right after it has seen a finished answer.
            last = number == len(pieces) and self.end is None
            yield Chunk(piece, last=last) if self.chunked else Body(piece)
        if self.end:
            yield self.end

    def _pieces(self) -> list[bytes]:
        pieces = [self._encode(event) for event in (*self.events, *(["[DONE]"] if self.done else []))]
        if self.cut is None:
            return pieces
        stream = b"".join(pieces)
        return [stream[start : start + self.cut] for start in range(0, len(stream), self.cut)]

    def _encode(self, event: Event) -> bytes:
        if isinstance(event, bytes):
            return event
        text = event if isinstance(event, str) else json.dumps(event)
        return f"data: {text}{self.framing}".encode()


def many_headers(count: int = 150) -> list[tuple[str, str]]:
    """Return that many headers, more than some HTTP clients accept."""
    return [(f"X-Filler-{number}", "filler") for number in range(count)]
