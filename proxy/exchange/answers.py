"""What the client is given for what the upstream answered."""

from collections.abc import Callable

from proxy.errors import ProxyError, UpstreamInvalidResponse, UpstreamUnexpectedStatus
from proxy.exchange.refusals import explain_refusal
from proxy.policy.headers import Headers, for_client
from proxy.stream.relay import Answer
from proxy.upstream.messages import UpstreamAnswer

WHOLE_LIMIT_BYTES = 1_048_576  # up to here JSON is read whole, so that a broken answer can still become an error
PAGES = ("text/html", "application/xhtml+xml")


class WholeAnswer:
    """An answer that is complete before its first byte leaves."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = [*headers, ("content-length", str(len(body)))]
        self.body: bytes | None = body

    @classmethod
    def of(cls, error: ProxyError, request_id: str) -> "WholeAnswer":
        """Tell the client what went wrong."""
        return cls(error.status, [*error.headers(), ("x-request-id", request_id)], error.body())

    async def next_chunk(self) -> bytes:
        """Return the end: there is nothing beyond the body."""
        return b""

    def close(self) -> None:
        """Do nothing: there is no upstream behind it."""


class PassingAnswer:
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


async def answer_for(
    upstream: UpstreamAnswer, *, is_head: bool, wants_json: bool, hide: Callable[[str], str] | None
) -> Answer:
    """Return what the client is given; raises UpstreamFailure where the upstream gave no usable answer.

    `wants_json`: this endpoint answers with JSON (or, streamed, with events) and nothing else.
    `hide`: takes keys out of a text; given where the proxy's own key was used, whose refusal is ours to explain.
    """
    kind = header(upstream.headers, "content-type").partition(";")[0].strip().lower()
    headers = for_client(upstream.headers)
    if not 200 <= upstream.status < 600 or (upstream.status // 100 == 3 and upstream.status != 304):
        raise UpstreamUnexpectedStatus(str(upstream.status))
    if is_head or upstream.status in (204, 304):
        return PassingAnswer(upstream, with_length(headers, upstream) if is_head else headers)
    if upstream.status >= 400:
        body = await read_at_most(upstream, WHOLE_LIMIT_BYTES)
        upstream.close()  # a longer refusal is not read to its end
        return WholeAnswer(upstream.status, *explain_refusal(upstream.status, headers, body, hide))
    if wants_json and kind in PAGES:
        raise UpstreamInvalidResponse(f"it is {kind}")
    if kind == "application/json":
        return await read_json(upstream, headers, must_be_json=wants_json)
    return PassingAnswer(upstream, with_length(headers, upstream))


async def read_json(upstream: UpstreamAnswer, headers: Headers, *, must_be_json: bool) -> Answer:
    """Read a small answer to its end and look whether it is JSON; a large one is passed on from where it is."""
    if int(header(upstream.headers, "content-length") or 0) > WHOLE_LIMIT_BYTES:
        return PassingAnswer(upstream, with_length(headers, upstream))
    body = await read_at_most(upstream, WHOLE_LIMIT_BYTES)
    if len(body) > WHOLE_LIMIT_BYTES:
        return PassingAnswer(upstream, headers, arrived=body)
    if must_be_json and not looks_like_json(body):
        raise UpstreamInvalidResponse
    return WholeAnswer(upstream.status, headers, body)


async def read_at_most(upstream: UpstreamAnswer, limit_bytes: int) -> bytes:
    """Return the body, or a little more than the limit of it."""
    body = await upstream.next_chunk()
    while len(body) <= limit_bytes and (more := await upstream.next_chunk()):
        body += more
    return body


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
    return next((value for key, value in headers if key == name), "")
