"""What the client is given for what the upstream answered."""

import json

from proxy.errors import (
    ProxyError,
    UpstreamInvalidResponse,
    UpstreamUnexpectedStatus,
    error_body,
)
from proxy.policy.headers import Headers, for_client
from proxy.stream.relay import Answer
from proxy.upstream.messages import UpstreamAnswer

WHOLE_LIMIT_BYTES = 1_048_576  # up to here JSON is read whole, so that a broken answer can still become an error
KEY_REFUSED = "The upstream refused the API key this proxy holds. Set a valid OPENAI_API_KEY."


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


async def answer_for(upstream: UpstreamAnswer, *, wants_json: bool, own_key: bool) -> Answer:
    """Return what the client is given; raises UpstreamFailure where the upstream gave no usable answer.

    `wants_json`: this endpoint answers with JSON (or, streamed, with events) and nothing else.
    `own_key`: the proxy's key was used, so its refusal is the proxy's to explain.
    """
    kind = header(upstream.headers, "content-type").partition(";")[0].strip().lower()
    headers = for_client(upstream.headers)
    if 300 <= upstream.status < 400 and upstream.status != 304:
        raise UpstreamUnexpectedStatus(str(upstream.status))
    if upstream.status >= 400:
        return await explain(upstream, headers, own_key=own_key)
    if wants_json and kind in ("text/html", "application/xhtml+xml"):
        raise UpstreamInvalidResponse(f"it is {kind}")
    if kind == "application/json":
        return await read_whole(upstream, headers)
    return PassingAnswer(upstream, with_length(headers, upstream))


async def read_whole(upstream: UpstreamAnswer, headers: Headers) -> Answer:
    """Read a small answer to its end; a large one is passed on from where it is."""
    if int(header(upstream.headers, "content-length") or 0) > WHOLE_LIMIT_BYTES:
        return PassingAnswer(upstream, with_length(headers, upstream))
    body = await upstream.next_chunk()
    while more := await upstream.next_chunk():
        body += more
        if len(body) > WHOLE_LIMIT_BYTES:
            return PassingAnswer(upstream, headers, arrived=body)
    return WholeAnswer(upstream.status, headers, body)


async def explain(upstream: UpstreamAnswer, headers: Headers, *, own_key: bool) -> Answer:
    """Pass a refusal on unchanged, unless it is no JSON or about the proxy's own key."""
    body = b""
    while len(body) <= WHOLE_LIMIT_BYTES and (more := await upstream.next_chunk()):
        body += more
    error = read_error(body)
    if error is None or (own_key and upstream.status in (401, 403)):
        headers = [("content-type", "application/json"), *((n, v) for n, v in headers if n != "content-type")]
        body = rewrite_error(upstream.status, error, own_key=own_key)
    return WholeAnswer(upstream.status, headers, body)


def read_error(body: bytes) -> dict[str, object] | None:
    """Return the error object of a JSON body, {} where it is JSON of another shape, None where it is no JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}


def rewrite_error(status: int, error: dict[str, object] | None, *, own_key: bool) -> bytes:
    """Write the error of a refusal that cannot be passed on as it came."""
    said = str((error or {}).get("message") or f"The upstream answered {status} without an error message.")
    kind = str((error or {}).get("type") or "upstream_error")
    if own_key and status in (401, 403):
        original = (error or {}).get("code")
        reason = f" (upstream code: {original})" if original else ""
        return error_body(f"{KEY_REFUSED} It said: {said}{reason}", type=kind, code="upstream_invalid_api_key")
    return error_body(said, type=kind, code=f"upstream_status_{status}")


def with_length(headers: Headers, upstream: UpstreamAnswer) -> Headers:
    """Keep the announced length of a body that is passed on untouched."""
    length = header(upstream.headers, "content-length")
    return [*headers, ("content-length", length)] if length else headers


def header(headers: Headers, name: str) -> str:
    """Return a header's value, "" where there is none."""
    return next((value for key, value in headers if key == name), "")
