"""What the client is given for what the upstream answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamFailure, UpstreamInvalidResponse, UpstreamUnexpectedStatus
from proxy.exchange.disguises import find_error
from proxy.exchange.refusals import explain_refusal
from proxy.exchange.replay import events_of
from proxy.exchange.streams import Hide, StreamWish, WatchedAnswer, dialect_for
from proxy.logs.redaction import redact
from proxy.policy.headers import Headers, for_client
from proxy.stream.pulse import EVENT_STREAM
from proxy.stream.reading import read_object
from proxy.stream.relay import Answer
from proxy.stream.watch import Dialect, Watch
from proxy.upstream.messages import UpstreamAnswer
from proxy.usage.record import find_usage

WHOLE_LIMIT_BYTES = 1_048_576  # up to here JSON is read whole, so that a broken answer can still become an error
REPLAY_LIMIT_BYTES = 16_777_216  # up to here JSON is made a stream of
PAGES = ("text/html", "application/xhtml+xml")
EVENTS = "text/event-stream"
DOCUMENTS = (*PAGES, "application/json")  # what is no stream, whoever asked for one; some upstreams misname theirs


@dataclass(frozen=True)
class Expected:
    """What answers a request can have.

    `wants_json`: this endpoint answers with JSON (or, streamed, with events) and nothing else.
    `own_key`: the proxy's own key was used, whose refusal is ours to explain.
    `hide`: takes secrets out of what the upstream, or the network's proxy before it, says of an error.
    """

    path: str
    is_head: bool = False
    wants_json: bool = False
    wish: StreamWish | None = None  # given where the client asked for a stream
    own_key: bool = False
    hide: Hide = redact

    def dialect(self) -> Dialect | None:
        """Return what follows a stream of this endpoint, None where its streams are not known."""
        return dialect_for(self.path, self.wish or StreamWish(), self.hide)

    def explain(self, status: int, headers: Headers, body: bytes) -> tuple[Headers, bytes]:
        """Return headers and body of a refusal for the client."""
        return explain_refusal(status, headers, body, self.hide, own_key=self.own_key)


class WholeAnswer(Answer):
    """An answer that is complete before its first byte leaves."""

    def __init__(self, status: int, headers: Headers, body: bytes, watch: Watch | None = None) -> None:
        self.status = status
        self.headers = [*headers, ("content-length", str(len(body)))]
        self.body: bytes | None = body
        self._watch = watch  # what has seen the events it was made into

    @classmethod
    def of(cls, error: ProxyError, request_id: str) -> "WholeAnswer":
        """Tell the client what went wrong."""
        return cls(error.status, [*error.headers(), ("x-request-id", request_id)], error.body())

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what is missing in an answer that was made a stream of."""
        return self._watch.failure if self._watch else None

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted."""
        return self._watch.usage if self._watch else find_usage(self.body or b"")

    async def next_chunk(self) -> bytes:
        """Return the end: there is nothing beyond the body."""
        return b""

    def close(self) -> None:
        """Do nothing: there is no upstream behind it."""


class PassingAnswer(Answer):
    """An answer that is passed on as it arrives."""

    body: bytes | None = None

    def __init__(self, upstream: UpstreamAnswer, headers: Headers, arrived: bytes = b"") -> None:
        self._upstream = upstream
        self._arrived = arrived
        self.status = upstream.status
        self.headers = headers

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""
        if self._arrived:
            arrived, self._arrived = self._arrived, b""
            return arrived
        return await self._upstream.next_chunk()

    def close(self) -> None:
        """Let go of the upstream."""
        self._upstream.close()


async def answer_for(upstream: UpstreamAnswer, expected: Expected) -> Answer:
    """Return what the client is given; raises UpstreamFailure where the upstream gave no usable answer."""
    kind = header(upstream.headers, "content-type").partition(";")[0].strip().lower()
    headers = for_client(upstream.headers)
    if not 200 <= upstream.status < 600 or (upstream.status // 100 == 3 and upstream.status != 304):
        raise UpstreamUnexpectedStatus(str(upstream.status))
    if expected.wish and upstream.status == 204:
        raise UpstreamInvalidResponse("it is empty")
    if expected.is_head or upstream.status in (204, 304):
        return PassingAnswer(upstream, with_length(headers, upstream) if expected.is_head else headers)
    if upstream.status >= 400:
        body = await read_at_most(upstream, WHOLE_LIMIT_BYTES)
        upstream.close()  # a longer refusal is not read to its end
        return WholeAnswer(upstream.status, *expected.explain(upstream.status, headers, body))
    if kind == EVENTS or (expected.wish and kind not in DOCUMENTS):
        dialect = expected.dialect()
        return WatchedAnswer(upstream, headers, Watch(dialect)) if dialect else PassingAnswer(upstream, headers)
    if expected.wants_json and kind in PAGES:
        raise UpstreamInvalidResponse(f"it is {kind}")
    if kind == "application/json":
        return await read_json(upstream, headers, expected)
    return PassingAnswer(upstream, with_length(headers, upstream))


async def read_json(upstream: UpstreamAnswer, headers: Headers, expected: Expected) -> Answer:
    """Read a small answer to its end and look whether it is JSON; a large one is passed on from where it is."""
    is_stream = expected.wish is not None and expected.dialect() is not None
    limit = REPLAY_LIMIT_BYTES if is_stream else WHOLE_LIMIT_BYTES
    if int(header(upstream.headers, "content-length") or 0) > limit:
        return PassingAnswer(upstream, with_length(headers, upstream))
    body = await read_at_most(upstream, limit)
    if len(body) > limit:
        return PassingAnswer(upstream, headers, arrived=body)
    if expected.wants_json and not looks_like_json(body):
        raise UpstreamInvalidResponse
    if expected.wants_json and (error := find_error(body)):
        status, body = error
        return WholeAnswer(status, *expected.explain(status, headers, body))
    return replay(upstream.status, body, expected) if is_stream else WholeAnswer(upstream.status, headers, body)


def replay(status: int, body: bytes, expected: Expected) -> WholeAnswer:
    """Make a stream of an answer that came whole though a stream was asked for; raises UpstreamInvalidResponse."""
    dialect, wish, value = expected.dialect(), expected.wish, read_object(body)
    events = events_of(value, with_usage=bool(wish and wish.asked_usage)) if value else None
    if events is None or dialect is None:
        raise UpstreamInvalidResponse("it is JSON, but no completion")
    watch = Watch(dialect)
    told = b"".join(watch.feed(event) for event in events) + watch.end()
    return WholeAnswer(status, EVENT_STREAM, told, watch)


async def read_at_most(upstream: UpstreamAnswer, limit_bytes: int) -> bytes:
    """Return the body, or a little more than the limit of it."""
    body = await upstream.next_chunk()
    pieces, size = [body], len(body)
    while size <= limit_bytes and (more := await upstream.next_chunk()):
        pieces.append(more)
        size += len(more)
    return body if len(pieces) == 1 else b"".join(pieces)


def looks_like_json(body: bytes) -> bool:
    """Tell whether a body is JSON by its letters and its two ends: a page or a piece of an answer is told by these."""
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        return False
    return text[:1] + text[-1:] in ("{}", "[]")


def with_length(headers: Headers, upstream: UpstreamAnswer) -> Headers:
    """Keep the announced length of a body that is passed on untouched."""
    length = header(upstream.headers, "content-length")
    return [*headers, ("content-length", length)] if length else headers


def header(headers: Headers, name: str) -> str:
    """Return a header's value, "" where there is none."""
    for key, value in headers:
        if key == name:
            return value
    return ""
