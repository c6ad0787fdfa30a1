"""Stage: check the upstream's answer, and make of it what the client gets."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from proxy.errors.upstream import (
    UpstreamFailure,
    UpstreamInvalidResponse,
    UpstreamProtocolFailure,
    UpstreamUnexpectedStatus,
)
from proxy.exchange.answers import JSON_BEGINS, NOTHING_YET, Beginning, CheckedAnswer, PassedAnswer, beginning_of
from proxy.exchange.dialects import dialect_for
from proxy.exchange.error_shapes import reshaped
from proxy.exchange.hidden_errors import find_error
from proxy.exchange.refusals import explain_refusal
from proxy.exchange.replay import events_of
from proxy.exchange.request import Request, StreamOptions
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer, WholeAnswer, whole
from proxy.http.headers import Headers
from proxy.logs.redaction import without_logins
from proxy.policy.headers import for_client
from proxy.policy.websocket import listed, proof_for
from proxy.stream.checker import Dialect, StreamChecker
from proxy.stream.event_json import read_object
from proxy.stream.keep_alive import EVENT_STREAM
from proxy.upstream.facts import Habit
from proxy.upstream.learned import LearnedFacts
from proxy.upstream.messages import UpstreamSocket

MAX_WHOLE_BYTES = 1_048_576  # up to here JSON is read whole, so that a broken answer can still become an error
MAX_REPLAYED_BYTES = 16_777_216  # up to here JSON is made a stream of
PAGES = ("text/html", "application/xhtml+xml")
EVENTS = "text/event-stream"
JSON = "application/json"
ENDS_OF_JSON = ("{}", "[]")
IS_JSON = re.compile(r"[\w.+-]+/(?:[\w.-]+\+)?json\b", re.IGNORECASE)
TRIED_AGAIN = (408, 409, 429)  # the statuses below 500 after which the SDK tries again


class Validate(Stage):
    """Refuse what is no answer of this API, explain the upstream's refusals, follow its streams."""

    kinds = frozenset({"json", "relay", "websocket"})

    def __init__(self, parts: Parts) -> None:
        self._hide = parts.hide
        self._learned = parts.learned
        self._key_hint = parts.key_hint

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return what the client is given; raises UpstreamFailure where the upstream gave no usable answer."""
        upstream = await next(flow, request)
        flow.upstream_status, flow.refused_for = upstream.status, ""
        try:
            if isinstance(upstream, UpstreamSocket):
                check_handshake(request.headers, upstream.headers)
                return upstream
            hide = self._hide if flow.is_own_key else without_logins  # a caller's own key is no secret to them
            return await answer_for(upstream, Expected(request, flow, hide, self._learned, self._key_hint))
        except BaseException:
            upstream.close()
            raise


class Expected(NamedTuple):
    """What an answer is checked against; `hide` takes secrets out of what the upstream says of an error."""

    request: Request
    flow: Flow
    hide: Callable[[str], str]
    learned: LearnedFacts
    key_hint: Callable[[], str]

    @property
    def dialect(self) -> Dialect | None:
        """Return what follows a stream of this endpoint, None where its streams are not known."""
        path = self.request.head.path
        endpoint = self.request.upstream_address + path
        of_model = HabitsOfModel(self.learned, endpoint, self.flow.model_sent or "")
        return dialect_for(path, self.request.stream or StreamOptions(), self.hide, of_model)

    def refusal(self, status: int, headers: Headers, body: bytes) -> WholeAnswer:
        """Return a refusal of the upstream's as the client is told of it."""
        headers, body, subject = explain_refusal(
            status, headers, body, self.hide, own_key=self.flow.is_own_key, key_hint=self.key_hint()
        )
        self.flow.refused_for = subject
        return reshaped(self.request.head.path, whole(status, headers, body), is_upstreams=True)


@dataclass(frozen=True, slots=True)
class HabitsOfModel:
    """Whether one model of an upstream's endpoint ends its streams with a finish_reason."""

    learned: LearnedFacts
    upstream: str  # its endpoint's address
    model: str

    def note_done(self, *, has_finish: bool) -> bool:
        """Take note of a stream that came to its `[DONE]`; return whether one without a finish_reason is whole.

        Where none ever came, the first such stream is still told as broken off; where one came before, every such is.
        """
        if has_finish:
            self.learned.learn(self.upstream, self.model, Habit.SENDS_FINISH)
            return False
        if self.learned.has(self.upstream, self.model, Habit.NEVER_FINISHES):
            self.learned.learn(self.upstream, self.model, Habit.NEVER_FINISHES)
            return True
        if not self.learned.has(self.upstream, self.model, Habit.SENDS_FINISH):
            self.learned.learn(self.upstream, self.model, Habit.NEVER_FINISHES)
        return False


async def answer_for(upstream: Answer, expected: Expected) -> Answer:
    """Return what the client is given; raises UpstreamFailure."""
    status, request = upstream.status, expected.request
    is_head, wants_stream = request.head.method == "HEAD", request.stream is not None
    kind = kind_of(upstream)
    if not 200 <= status < 600 or (status // 100 == 3 and status != 304):
        raise UpstreamUnexpectedStatus(str(status))
    if wants_stream and status == 204:
        raise UpstreamInvalidResponse("it is empty")
    if is_head or status in (204, 304):
        return PassedAnswer(upstream, passed_headers(upstream, keeps_length=is_head))
    if status >= 400:
        body = await read_refusal(upstream)
        return expected.refusal(status, for_client(upstream.headers), body)
    if not (request.head.wants_json or wants_stream or kind == EVENTS):
        if kind == JSON:
            return await check_json(upstream, expected)
        return PassedAnswer(upstream, passed_headers(upstream, keeps_length=True))
    if kind == JSON and not wants_stream:
        return await plain_json(upstream, expected)
    dialect = expected.dialect
    if dialect is None and not request.head.wants_json:  # nobody knows what it should be
        return PassedAnswer(upstream, for_client(upstream.headers))
    return await by_its_beginning(upstream, expected)


async def plain_json(upstream: Answer, expected: Expected) -> Answer:
    """Return an answer that is said to be JSON, read to its end where it is small; what begins otherwise is looked at.

    Raises UpstreamFailure. This is what most requests get, so it calls nobody it need not.
    """
    pieces: list[bytes] = []
    size = 0
    while size <= MAX_WHOLE_BYTES and (piece := await upstream.next_chunk()):
        if not pieces and (piece[:1] not in JSON_BEGINS or (upstream.content_length or 0) > MAX_WHOLE_BYTES):
            return await by_its_beginning(upstream, expected, piece)
        pieces.append(piece)
        size += len(piece)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if size > MAX_WHOLE_BYTES:
        return PassedAnswer(upstream, for_client(upstream.headers), Beginning(body))
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UpstreamInvalidResponse from None
    if text[:1] + text.rstrip()[-1:] not in ENDS_OF_JSON:
        raise UpstreamInvalidResponse
    headers = for_client(upstream.headers)
    if b'"error"' in body and (error := find_error(body)):
        return expected.refusal(error[0], headers, error[1])
    headers.append(("content-length", str(size)))
    return WholeAnswer(upstream.status, headers, body)


async def by_its_beginning(upstream: Answer, expected: Expected, arrived: bytes = b"") -> Answer:
    """Return an answer as what it begins like; `arrived` has been read of it. Raises UpstreamFailure."""
    dialect, wants_stream = expected.dialect, expected.request.stream is not None
    kind = kind_of(upstream)
    begun = await beginning_of(upstream, arrived)
    if begun.is_page or (kind in PAGES and not (begun.is_json or begun.is_stream)):
        raise UpstreamInvalidResponse("it is a page" if begun.is_page else f"it is {kind}")
    if begun.is_json or (kind == JSON and not begun.is_stream):
        return await check_json(upstream, expected, begun)
    if begun.is_stream or kind == EVENTS or wants_stream:
        headers = named_as(EVENTS, for_client(upstream.headers))
        if dialect is None:
            return PassedAnswer(upstream, headers, begun)
        return CheckedAnswer(upstream, headers, StreamChecker(dialect, expected.flow.note_fault), begun)
    return PassedAnswer(upstream, passed_headers(upstream, keeps_length=True), begun)


async def check_json(upstream: Answer, expected: Expected, begun: Beginning = NOTHING_YET) -> Answer:
    """Read a small answer to its end and check that it is JSON; a large one is passed on from where it is.

    Raises UpstreamFailure.
    """
    request = expected.request
    dialect = expected.dialect if request.stream is not None else None
    limit = MAX_WHOLE_BYTES if dialect is None else MAX_REPLAYED_BYTES
    if (upstream.content_length or 0) > limit:
        headers = passed_headers(upstream, keeps_length=True)
        return PassedAnswer(upstream, named_as(JSON, headers) if request.head.wants_json else headers, begun)
    body = await read_at_most(PassedAnswer(upstream, upstream.headers, begun), limit)
    if len(body) <= limit and request.head.wants_json and not looks_like_json(body):
        raise UpstreamInvalidResponse
    headers = for_client(upstream.headers)
    if request.head.wants_json:
        headers = named_as(JSON, headers)
    if len(body) > limit:
        return PassedAnswer(upstream, headers, Beginning(body))
    if request.head.wants_json and b'"error"' in body and (error := find_error(body)):
        status, body = error
        expected.flow.note_fault("error_inside")
        return expected.refusal(status, headers, body)
    if dialect is None:
        headers.append(("content-length", str(len(body))))
        return WholeAnswer(upstream.status, headers, body)
    expected.flow.note_repair("told as the stream that was asked for")
    return as_stream(upstream.status, body, request, dialect)


def as_stream(status: int, body: bytes, request: Request, dialect: Dialect) -> WholeAnswer:
    """Make a stream of an answer that came whole though a stream was asked for; raises UpstreamInvalidResponse."""
    value = read_object(body)
    events = events_of(value, with_usage=bool(request.stream and request.stream.asked_usage)) if value else None
    if events is None:
        raise UpstreamInvalidResponse("it is JSON, but no completion")
    checker = StreamChecker(dialect)
    pieces = [checker.feed(event) for event in events if not checker.is_over]
    answer = whole(status, EVENT_STREAM, b"".join(pieces) + checker.end())
    answer.failure, answer.usage = checker.failure, checker.usage
    return answer


async def read_refusal(upstream: Answer) -> bytes:
    """Return the body of a refusal; one that is tried again is kept as far as it came: its status is what counts."""
    arrived: list[bytes] = []
    try:
        return await read_at_most(upstream, MAX_WHOLE_BYTES, arrived)
    except UpstreamFailure:
        if upstream.status in TRIED_AGAIN or upstream.status >= 500:
            return b"".join(arrived)
        raise
    finally:
        upstream.close()  # a longer one is not read to its end


async def read_at_most(upstream: Answer, limit_bytes: int, pieces: list[bytes] | None = None) -> bytes:
    """Return the body, or a little more than the limit of it; `pieces` holds what arrives, also where it breaks off."""
    pieces = [] if pieces is None else pieces
    size = 0
    while size <= limit_bytes and (piece := await upstream.next_chunk()):
        pieces.append(piece)
        size += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def looks_like_json(body: bytes) -> bool:
    """Tell whether a body is JSON by its letters and its two ends: a page or a piece of an answer is told by these."""
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return False
    return text[:1] + text[-1:] in ENDS_OF_JSON


def kind_of(upstream: Answer) -> str:
    """Return the type that an answer says it has."""
    return upstream.content_type.partition(";")[0].strip().lower()


def named_as(kind: str, headers: Headers) -> Headers:
    """Return the headers of an answer whose type names what it is: SDKs read what is named otherwise as a text."""
    said = headers.get("content-type")
    is_right = IS_JSON.match(said.strip()) if kind == JSON else said.strip().lower().startswith(kind)
    return headers if is_right else headers.replaced("content-type", kind)


def passed_headers(upstream: Answer, *, keeps_length: bool) -> Headers:
    """Return the headers of an answer that is passed on, with its announced length where its body stays as it is."""
    headers = for_client(upstream.headers)
    if keeps_length and upstream.content_length is not None:
        headers.append(("content-length", str(upstream.content_length)))
    return headers


def check_handshake(asked: Headers, answered: Headers) -> None:
    """Raise UpstreamProtocolFailure for a handshake no client takes: without its proof, or with what nobody offered."""
    if answered.get("sec-websocket-accept").strip() != proof_for(asked.get("sec-websocket-key")):
        raise UpstreamProtocolFailure("it said 101 and did not become a WebSocket")
    if answered.get("sec-websocket-extensions") and not asked.get("sec-websocket-extensions"):
        raise UpstreamProtocolFailure("it chose an extension nobody offered")
    offered = listed(asked.get("sec-websocket-protocol"))
    for name, value in answered:
        if name == "sec-websocket-protocol" and value.strip() not in offered:
            raise UpstreamProtocolFailure("it chose a sub-protocol nobody offered")
