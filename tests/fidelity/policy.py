"""What may differ between an answer of the upstream and the proxy's, and nothing else: each line says why.

The rules are those of docs/safety.md and of `proxy/policy/headers.py`, written down a second time on purpose.
"""

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress

from fakes.shared_upstream import UPSTREAM_KEY
from fidelity.asked import Asked
from fidelity.client import Outcome
from fidelity.upstream import Seen

# What an upstream could steer a browser with; all else travels back.
NOT_TO_CLIENT = {
    "accept-ch", "activate-storage-access", "alt-svc", "clear-site-data", "content-encoding", "content-security-policy",
    "content-security-policy-report-only", "critical-ch", "document-policy", "expect-ct", "feature-policy", "nel",
    "origin-agent-cluster", "permissions-policy", "public-key-pins", "public-key-pins-report-only", "referrer-policy",
    "refresh", "report-to", "reporting-endpoints", "service-worker-allowed", "set-cookie", "set-cookie2", "set-login",
    "sourcemap", "speculation-rules", "strict-transport-security", "timing-allow-origin", "x-content-security-policy",
    "x-frame-options", "x-permitted-cross-domain-policies", "x-sourcemap", "x-webkit-csp", "keep-alive", "trailer",
    "upgrade", "te", "expect", "http2-settings",
}  # fmt: skip
NOT_TO_CLIENT_PREFIXES = ("access-control-", "cross-origin-", "proxy-", "sec-", "x-proxy-")
# The connection's own, in either direction: how a body is framed, and how long the connection lives, is not told.
OF_THE_CONNECTION = {"content-length", "transfer-encoding", "connection", "date"}
# A caller's keys, what tells of it and its browser, and what is said of one connection; all else travels up.
NOT_TO_UPSTREAM = {
    "authorization", "api-key", "x-api-key", "x-goog-api-key", "accept-encoding", "cookie", "cookie2", "forwarded",
    "host", "origin", "referer", "via", "x-real-ip", "x-http-method", "x-http-method-override", "x-method-override",
    "x-original-url", "x-rewrite-url", "connection", "content-length", "expect", "http2-settings", "keep-alive", "te",
    "trailer", "transfer-encoding", "upgrade", "content-encoding",
}  # fmt: skip
NOT_TO_UPSTREAM_PREFIXES = ("access-control-", "proxy-", "sec-", "x-forwarded-", "x-proxy-")
OF_THE_SDK = {"accept", "content-type", "user-agent"}  # sent also where the client sent none
GZIP = zlib.MAX_WBITS | 16
COMPLETED = re.compile(rb'"type": "response\.completed".*\}(?:\r?\n){2,}\Z')
DONE = re.compile(rb"data: ?\[DONE\](?:\r?\n)+\Z")
REFUSAL_LIMIT_BYTES = 1_048_576
BROKEN = re.compile(rb'"code":\s*"upstream_(?:truncated|invalid_event)"')


def request_differences(direct: list[Seen], proxied: list[Seen]) -> Iterator[str]:
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
    for name in set(given) | OF_THE_SDK:
        if stays(name):
            continue
        expected = given.get(name)
        if name == "user-agent" and expected:
            expected += " " + sent.get(name, "").rpartition(" ")[2]  # the proxy puts its name behind it
        if sent.get(name) != expected and not (expected is None and name in OF_THE_SDK):
            yield f"the header {name} is {sent.get(name)!r} and was {expected!r}"
    for name, value in sent.items():
        is_own = name in OF_THE_CONNECTION | {"host", "accept-encoding", "authorization"} or name in OF_THE_SDK
        if stays(name) and not is_own:
            yield f"the header {name} went upstream"
        if name not in given and not is_own and not name.startswith("x-stainless-"):
            yield f"the header {name} was added: {value!r}"
    if sent.get("authorization") != f"Bearer {UPSTREAM_KEY}":
        yield f"the upstream was given {sent.get('authorization')!r} as its key"


def stays(name: str) -> bool:
    """Tell whether a header goes no further than the proxy; some servers read underscores as hyphens."""
    name = name.replace("_", "-")
    return name in NOT_TO_UPSTREAM or name.startswith(NOT_TO_UPSTREAM_PREFIXES)


def told(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name; one that came twice is one list, one without a value is none."""
    values: dict[str, str] = {}
    for name, value in headers:
        if value := value.strip(" \t"):
            values[name.lower()] = f"{values[name.lower()]},{value}" if name.lower() in values else value
    return values


def answer_differences(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield how an answer through the proxy differs from the upstream's, beyond what may."""
    if asked.is_last and proxied.headers and b"close" not in proxied.values("connection"):
        yield "a connection that its client gave up is kept"
    if direct.is_late or proxied.is_late:
        yield f"nothing comes, {'through the proxy' if proxied.is_late else 'without it'}"
    elif not direct.is_complete or breaks_off(direct):
        yield from pretences(asked, direct, proxied)
    elif error := own_error(asked, proxied):
        if error not in refusals(asked, direct):
            yield f"{error} in place of {direct.status}"
    elif not (asked.is_ruled and (is_disguised_error(direct) or tells_the_break(asked, proxied) > is_stream(direct))):
        yield from changes(asked, direct, proxied)


def pretences(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield how an answer that broke off looks better than it is; what became an error does not."""
    if proxied.status >= 400 and (asked.method == "HEAD" or is_json(proxied)):
        return
    if tells_the_break(asked, proxied):
        return
    if proxied.is_complete:
        yield f"{len(direct.body)} bytes that broke off look complete"
    if not begins_like(plain_body(direct), proxied.body):
        yield "what came of a broken answer is not its beginning"


def changes(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield what became of an answer that should arrive as it is."""
    if not proxied.is_complete:
        yield "a complete answer breaks off"
    if proxied.status != direct.status:
        yield f"status {proxied.status} for {direct.status}"
    yield from header_differences(asked, direct, proxied)
    expected = plain_body(direct) if asked.method != "HEAD" else b""
    if direct.status >= 400 and len(expected) > REFUSAL_LIMIT_BYTES:
        return  # a longer refusal is not read to its end
    if proxied.body != expected:
        yield f"a body of {len(proxied.body)} bytes for {len(expected)}"


def header_differences(asked: Asked, direct: Outcome, proxied: Outcome) -> Iterator[str]:
    """Yield the headers that are missing, added or changed."""
    expected = [
        pair
        for pair in direct.headers
        if pair[0] not in NOT_TO_CLIENT | OF_THE_CONNECTION and not pair[0].startswith(NOT_TO_CLIENT_PREFIXES)
    ]
    given = [pair for pair in proxied.headers if pair[0] not in OF_THE_CONNECTION]
    if asked.is_ruled and told_rightly(proxied):  # the body decides what an answer is, whatever its header says
        given, expected = without_type(given), without_type(expected)
    if given != expected:
        yield f"headers {given} for {expected}"
    length, announced = proxied.values("content-length"), direct.values("content-length")
    if len(length) > 1 or len(proxied.values("transfer-encoding")) > 1:
        yield f"the body is framed twice: {proxied.headers}"
    if asked.method == "HEAD" and not direct.values("content-encoding") and length != announced:
        yield f"a length of {length} for {announced}"


def told_rightly(outcome: Outcome) -> bool:
    """Tell whether an answer's type is what its body is: a JSON value, or events."""
    [kind] = outcome.values("content-type") or [b""]
    with suppress(ValueError):
        json.loads(outcome.body)
        return kind.startswith(b"application/json")
    return kind.startswith(b"text/event-stream")


def without_type(headers: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return headers but for the content's type."""
    return [pair for pair in headers if pair[0] != "content-type"]


def plain_body(outcome: Outcome) -> bytes:
    """Return the body without an encoding nobody asked for, which the proxy undoes, as far as it came."""
    if not outcome.values("content-encoding"):
        return outcome.body
    with suppress(zlib.error):  # too little of it came
        return zlib.decompressobj(GZIP).decompress(outcome.body)
    return b""


def breaks_off(outcome: Outcome) -> bool:
    """Tell whether an encoded body is cut, which the proxy sees also where the connection's end is its only end."""
    if not outcome.values("content-encoding") or not outcome.body:
        return False
    decompressor = zlib.decompressobj(GZIP)
    with suppress(zlib.error):
        decompressor.decompress(outcome.body)
    return not decompressor.eof


def begins_like(one: bytes, other: bytes) -> bool:
    """Tell whether two bodies are the same as far as both go: a reset connection loses what was not read yet."""
    return one.startswith(other) or other.startswith(one)


def is_stream(outcome: Outcome) -> bool:
    """Tell whether a body is a stream to its end, whatever became of its framing."""
    is_chat = DONE.search(outcome.body) is not None and b'"finish_reason": "stop"' in outcome.body
    return is_chat or COMPLETED.search(outcome.body) is not None


def own_error(asked: Asked, outcome: Outcome) -> tuple[int, str] | None:
    """Return status and code of an error the proxy words itself; that to HEAD has no words."""
    if outcome.values("content-type") != [b"application/json"] or outcome.status < 400:
        return None
    if asked.method == "HEAD":
        return (outcome.status, "") if b"".join(outcome.values("x-request-id")).startswith(b"proxy-") else None
    try:
        error = json.loads(outcome.body)["error"]
    except (ValueError, LookupError, TypeError):
        return None
    code = error.get("code") if isinstance(error, dict) and error.keys() == {"message", "type", "param", "code"} else ""
    return (outcome.status, code) if code else None


def refusals(asked: Asked, direct: Outcome) -> list[tuple[int, str]]:
    """Return the errors of its own that the proxy may put in the place of a complete answer."""
    kind = b"".join(direct.values("content-type")).partition(b";")[0].strip().lower()
    given = []
    if direct.status // 100 == 3 and direct.status != 304:  # redirects are not followed, and mean nothing else here
        given.append((502, "upstream_unexpected_status"))
    if direct.status in (401, 403):  # it is the proxy's key that was refused, not the client's
        given.append((direct.status, "upstream_invalid_api_key"))
    if direct.status >= 400 and not is_json(direct):  # every error has the form of the API
        given.append((direct.status, f"upstream_status_{direct.status}"))
    looks_like_json = kind == b"application/json" or plain_body(direct).lstrip()[:1] in (b"{", b"[")
    misses_json = kind == b"text/html" or (looks_like_json and not is_json(direct))
    if asked.wants_stream or (asked.is_ruled and misses_json):
        given.append((502, "upstream_invalid_response"))
    return [(status, "") for status, _ in given] if asked.method == "HEAD" else given


def is_json(outcome: Outcome) -> bool:
    """Tell whether a body is JSON."""
    try:
        json.loads(plain_body(outcome))
    except ValueError:
        return False
    return True


def is_disguised_error(outcome: Outcome) -> bool:
    """Tell an error that came with a success status: it is given an error's."""
    try:
        return outcome.status < 300 and "error" in json.loads(plain_body(outcome))
    except (ValueError, TypeError):
        return False


def tells_the_break(asked: Asked, proxied: Outcome) -> bool:
    """Tell whether a stream says itself that it is not whole, or all of it but the framing's end had come."""
    last = proxied.body.rstrip().rpartition(b"data: ")[2]
    return asked.is_ruled and (BROKEN.search(last) is not None or is_stream(proxied))
