"""The answers that break HTTP, or break off."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fakes.scripted.answers import Answer, Event, Headers, Json, Sse, document
from fakes.scripted.recorded import Recorded
from fakes.scripted.steps import (
    CloseOnNext,
    Drip,
    EndAnswer,
    EndHead,
    Fin,
    Pause,
    Raw,
    Reset,
    Stall,
    Step,
)


@dataclass(frozen=True)
class RawBytes(Answer):
    """Send bytes where a head should be, then close."""

    data: bytes = b"\x00\x01 this is not HTTP\r\n\r\n"
    end: Step = field(default_factory=Fin)

    def script(self, request: Recorded) -> Iterable[Step]:
        return [Raw(self.data), self.end]


@dataclass(frozen=True)
class CloseBeforeHeaders(Answer):
    """Close with FIN without a byte."""

    def script(self, request: Recorded) -> Iterable[Step]:
        return [Fin()]


@dataclass(frozen=True)
class ResetBeforeHeaders(Answer):
    """Close with RST without a byte."""

    def script(self, request: Recorded) -> Iterable[Step]:
        return [Reset()]


@dataclass(frozen=True)
class SilentBeforeHeaders(Answer):
    """Say nothing until the client leaves."""

    def script(self, request: Recorded) -> Iterable[Step]:
        return [Stall()]


@dataclass(frozen=True)
class ShortBody(Answer):
    """Promise more bytes with Content-Length than are sent, then close."""

    value: Any
    missing: int = 10
    end: Step = field(default_factory=Fin)

    def script(self, request: Recorded) -> Iterable[Step]:
        body = json.dumps(self.value).encode()
        promise = ("Content-Length", str(len(body) + self.missing))
        return [*document(200, [promise], "application/json", body), self.end]


@dataclass(frozen=True)
class LongBody(Answer):
    """Send more bytes than Content-Length promised, and keep the connection."""

    value: Any
    extra: bytes = b"left over"

    def script(self, request: Recorded) -> Iterable[Step]:
        body = json.dumps(self.value).encode()
        promise = ("Content-Length", str(len(body)))
        return document(200, [promise], "application/json", body + self.extra)


@dataclass(frozen=True)
class DripBody(Answer):
    """Send the body a byte at a time, with a gap before each."""

    body: bytes
    gap_s: float = 0.01
    content_type: str = "application/json"
    headers: Headers = ()

    def script(self, request: Recorded) -> Iterable[Step]:
        promise = ("Content-Length", str(len(self.body)))
        *head, _ = document(200, [*self.headers, promise], self.content_type, b"")
        return [*head, EndHead(), Drip(self.body, self.gap_s)]


@dataclass(frozen=True)
class LingerAfterDone(Answer):
    """Stream to `[DONE]` and then neither end the body nor close."""

    events: Sequence[Event]
    gap_s: float = 0

    def script(self, request: Recorded) -> Iterable[Step]:
        return Sse(self.events, gap_s=self.gap_s, end=Stall()).script(request)


@dataclass(frozen=True)
class CloseKeepAliveAfterAnswer(Answer):
    """Answer properly without `Connection: close`, then close the idle connection all the same."""

    answer: Answer
    after_s: float = 0
    reset: bool = False

    def script(self, request: Recorded) -> Iterable[Step]:
        yield from self.answer.script(request)
        yield EndAnswer()
        yield Pause(self.after_s)
        yield Reset() if self.reset else Fin()


@dataclass(frozen=True)
class StaleReuse(Answer):
    """Answer properly; the next request on the same connection is read, and the connection closed without a byte.

    The request that finds the connection closed is recorded, but uses up no answer of a sequence.
    """

    answer: Answer
    reset: bool = False

    def script(self, request: Recorded) -> Iterable[Step]:
        return [CloseOnNext(reset=self.reset), *self.answer.script(request)]


@dataclass(frozen=True)
class Delayed(Answer):
    """Stay silent for a while before the head, then answer."""

    answer: Answer
    delay_s: float

    def script(self, request: Recorded) -> Iterable[Step]:
        yield Pause(self.delay_s)
        yield from self.answer.script(request)


@dataclass(frozen=True)
class AnswerEarly(Answer):
    """Answer after the request's head, before its body is read; the body is read and recorded after the answer.

    The request is recorded at once, with `complete` False, and replaced when its body has come.
    """

    answer: Answer = field(default_factory=lambda: Json({"error": {"message": "too large", "code": None}}, status=413))
    before_body: ClassVar[bool] = True

    def script(self, request: Recorded) -> Iterable[Step]:
        return self.answer.script(request)


@dataclass(frozen=True)
class HeadThenStall(Answer):
    """Send a whole head and then nothing."""

    status: int = 200
    content_type: str = "text/event-stream"

    def script(self, request: Recorded) -> Iterable[Step]:
        *head, _ = document(self.status, [], self.content_type, b"")
        return [*head, EndHead(chunked=True), Stall()]
