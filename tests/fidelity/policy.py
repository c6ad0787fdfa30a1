"""What may differ between an answer of the upstream and the proxy's, and nothing else: each line says why.

The rules are those of the README and of `proxy/policy/headers.py`, written down a second time on purpose.
"""

import gzip
import json
import re
from collections.abc import Iterator

from fidelity.asked import Asked
from fidelity.wire import CASE, Outcome, Seen

TO_CLIENT = {
    "accept-ranges", "cache-control", "content-disposition", "content-range", "content-type", "etag", "last-modified",
    "retry-after", "retry-after-ms", "x-request-id", "x-should-retry",
}  # fmt: skip
TO_CLIENT_PREFIXES = ("openai-", "x-ratelimit-")
# The connection's own, in either direction: how a body is framed, and how long the connection lives, is not told.
OF_THE_CONNECTION = {"content-length", "transfer-encoding", "connection", "date"}
TO_UPSTREAM = {
    "accept", "accept-language", "content-type", "http-referer", "idempotency-key", "if-match", "if-none-match",
    "openai-beta", "openai-organization", "openai-project", "range", "user-agent", "x-title", CASE,
}  # fmt: skip
OF_THE_SDK = {"accept", "content-type", "user-agent"}  # sent also where the client sent none
DONE = re.compile(rb"data: ?\[DONE\](?:\r?\n)+\Z")
REFUSAL_LIMIT_BYTES = 1_048_576
BROKEN = re.compile(rb'"code":\s*"upstream_(?:truncated|invalid_event)"')


def request_differences(asked: Asked, direct: list[Seen], proxied: list[Seen]) -> Iterator[str]:
    """Yield how the upstream's view of a request through the proxy differs from that of the same without it."""
    if len(proxied) != 1:
        yield f"it was asked {len(proxied)} times"
        return
    [through], plain = proxied, direct[-1]
    if (through.method, through.target) != (plain.method, plain.target):
        yield f"{through.method} {through.target} for {plain.method} {plain.target}"
    if through.body != plain.body:
        yield f"a body of {len(through.body)} bytes for {len(plain.body)}"
    given, sent = told(plain.headers), told(through.headers)
    for name in TO_UPSTREAM | {name for name in given if name.startswith("x-stainless-")}:
        expected = given.get(name)
        if name == "user-agent" and expected:
            expected += " " + sent.get(name, "").rpartition(" ")[2]  # the proxy puts its name behind it
        if sent.get(name) != expected and not (expected is None and name in OF_THE_SDK):
            yield f"the header {name} is {sent.get(name)!r} and was {expected!r}"
    for name in ("cookie", "x-unknown", "x-api-key", "referer", "te", "x_title", "expect", "keep-alive"):
        if name in sent and name != "expect":
            yield f"the header {name} went upstream"


def told(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name; one that came twice is one list, one without a value is none."""
    values: dict[str, str] = {}
    for name, value in headers:
        if value := value.strip(" \t"):
            values[name.lower()] = f"{values[name.lower()]},{value}" if name.lower() in values else value
    return values


def answer_differences(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield how an answer through the proxy differs from the upstream's, beyond what may."""
    if asked.is_last and b"close" not in proxied.values("connection"):
        yield "a connection that its client gave up is kept"
    if direct.is_late or proxied.is_late:
        yield f"nothing comes, {'through the proxy' if proxied.is_late else 'without it'}"
        return
    if error := own_error(asked, proxied):
        if error not in [
            (status, code) if asked.method != "HEAD" else (status, "") for status, code in refusals(asked, direct)
        ]:
            yield f"{error} in place of {direct.status}"
        return
    if not direct.is_complete:
        if proxied.is_complete and not tells_the_break(asked, proxied):
            yield f"{len(direct.body)} bytes that broke off look complete"
        elif not (begins_like(plain_body(direct)[0], proxied.body) or tells_the_break(asked, proxied)):
            yield "what came of a broken answer is not its beginning"
        return
    if asked.is_ruled and not is_stream(direct) and tells_the_break(asked, proxied):
        return  # what is no whole stream is told to be none
    if asked.is_ruled and is_disguised_error(direct):
        return
    if not proxied.is_complete:
        yield "a complete answer breaks off"
    if proxied.status != direct.status:
        yield f"status {proxied.status} for {direct.status}"
    yield from header_differences(asked, direct, proxied)
    expected = plain_body(direct)[0] if asked.method != "HEAD" else b""
    if direct.status >= 400 and len(expected) > REFUSAL_LIMIT_BYTES:
        return  # a longer refusal is not read to its end
    if proxied.body != expected:
        yield f"a body of {len(proxied.body)} bytes for {len(expected)}"


def header_differences(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield the headers that are missing, added or changed."""
    expected = [pair for pair in direct.headers if pair[0] in TO_CLIENT or pair[0].startswith(TO_CLIENT_PREFIXES)]
    given = [pair for pair in proxied.headers if pair[0] not in OF_THE_CONNECTION]
    if given != expected:
        yield f"headers {given} for {expected}"
    length, announced = proxied.values("content-length"), direct.values("content-length")
    if len(length) > 1 or len(proxied.values("transfer-encoding")) > 1:
        yield f"the body is framed twice: {proxied.headers}"
    if asked.method == "HEAD" and not direct.values("content-encoding") and length != announced:
        yield f"a length of {length} for {announced}"


def plain_body(outcome: Outcome) -> tuple[bytes, bool]:
    """Return the body without an encoding nobody asked for, and whether there was one: the proxy undoes it."""
    if outcome.values("content-encoding") and outcome.body:
        return (gzip.decompress(outcome.body) if outcome.is_complete else b""), True
    return outcome.body, False


def begins_like(one: bytes, other: bytes) -> bool:
    """Tell whether two bodies are the same as far as both go: a reset connection loses what was not read yet."""
    return one.startswith(other) or other.startswith(one)


def is_stream(outcome: Outcome) -> bool:
    """Tell whether a body is a chat's stream to its end."""
    return DONE.search(outcome.body) is not None and b'"finish_reason": "stop"' in outcome.body


def own_error(asked: Asked, outcome: Outcome) -> tuple[int, str] | None:
    """Return status and code of an error the proxy words itself; that to HEAD has no words."""
    if outcome.values("content-type") != [b"application/json"] or outcome.status < 400:
        return None
    if asked.method == "HEAD":
        own = b"".join(outcome.values("x-request-id")).startswith(b"proxy-")
        return (outcome.status, "") if own else None
    try:
        error = json.loads(outcome.body)["error"]
    except (ValueError, LookupError, TypeError):
        return None
    code = error.get("code") if isinstance(error, dict) and error.keys() == {"message", "type", "param", "code"} else ""
    return (outcome.status, code) if code else None


def refusals(asked: Asked, direct: Outcome) -> Iterator[tuple[int, str]]:
    """Yield the errors of its own that the proxy may put in the place of an answer."""
    kind = b"".join(direct.values("content-type")).partition(b";")[0].strip().lower()
    if not direct.is_complete:  # a reset may have taken the head that the proxy had read
        yield from [(502, "upstream_truncated"), (502, "upstream_protocol_error"), (502, "upstream_unexpected_status")]
        yield from [(status, f"upstream_status_{status}") for status in range(400, 600)]
    if direct.status // 100 == 3 and direct.status != 304:  # redirects are not followed, and mean nothing else here
        yield 502, "upstream_unexpected_status"
    if direct.status in (401, 403):  # it is the proxy's key that was refused, not the client's
        yield direct.status, "upstream_invalid_api_key"
    if direct.status >= 400 and not is_json(direct):  # every error has the form of the API
        yield direct.status, f"upstream_status_{direct.status}"
    if not asked.is_ruled:
        return
    if asked.wants_stream or kind == b"text/html" or (kind == b"application/json" and not is_json(direct)):
        yield 502, "upstream_invalid_response"


def is_json(outcome: Outcome) -> bool:
    """Tell whether a body is JSON."""
    try:
        json.loads(plain_body(outcome)[0])
    except ValueError:
        return False
    return True


def is_disguised_error(outcome: Outcome) -> bool:
    """Tell an error that came with a success status: it is given an error's."""
    try:
        return outcome.status < 300 and "error" in json.loads(plain_body(outcome)[0])
    except (ValueError, TypeError):
        return False


def tells_the_break(asked: Asked, proxied: Outcome) -> bool:
    """Tell whether a stream says itself that it is not whole, or all of it but the framing's end had come."""
    last = proxied.body.rstrip().rpartition(b"data: ")[2]
    return asked.is_ruled and (BROKEN.search(last) is not None or DONE.search(proxied.body) is not None)
