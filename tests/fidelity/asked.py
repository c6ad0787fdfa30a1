"""Random requests: what clients may legally send, however odd."""

import json
import random
from dataclasses import dataclass

from fidelity.upstream import CASE

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
PATH_LETTERS = "abcXYZ019-._~!$&'()*+,;=:@"
ESCAPES = ["%2Fs", "%2fs", "%20", "%25", "%3F", "%23", "%C3%A9", "%c3%a9", "%00", "%0A", "%7E", "%41", "%FF", "%5B"]
QUERY_LETTERS = PATH_LETTERS + '/?[]{}|\\^`"<>&&=='
BROKEN_ESCAPES = ["%", "%2", "%zz", "%u00e9"]
CONTENT_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/octet-stream",
    "text/plain;charset=UTF-8",
    'multipart/form-data; boundary="a b"',
    'x/y; z="\\""',
]
# Beside the content type: those that travel with all values that are legal, and others, most of which stay.
TRAVELLING = [
    "Accept", "Accept-Language", "HTTP-Referer", "Idempotency-Key", "If-Match", "If-None-Match", "OpenAI-Beta",
    "OpenAI-Organization", "OpenAI-Project", "Range", "User-Agent", "X-Title", "X-Stainless-Lang", "X-Stainless-Odd",
]  # fmt: skip
STAYING = [
    "Authorization: Bearer sk-callers-own-key",
    "Cookie: a=b; c=d",
    "Referer: http://127.0.0.1/",
    "X-Api-Key: callers",
    "X_Title: underscore",
    "Te: trailers",
    "X-Forwarded-For: 10.0.0.1",
    "X_Forwarded_For: 10.0.0.2",
    "Forwarded: for=10.0.0.1",
    "Via: 1.1 here",
    "api-key: callers",
    "X-Goog-Api-Key: callers",
    "X-Proxy-Api-Key: callers",
    "Proxy-Authorization: Basic YTpi",
    "Sec-Fetch-Mode: cors",
    "Access-Control-Request-Method: POST",
    "session_id: a",
    "anthropic-version: 2023-06-01",
    "X-Unknown: 1",
    "Accept-Encoding: gzip, br",
    "Keep-Alive: timeout=5",
    "Priority: u=1, i",
    "Cache-Control: no-cache",
]
VALUES = ["x", "a, b", 'W/"x"', "bytes=0-", "a\tb", "Grüße", "\u4e16", 'a=b;c="d, e"', "%41", "'", "a  b", "~" * 300]
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
STREAMED = [CHAT, "/v1/completions", RESPONSES]
RULED = [*STREAMED, "/v1/embeddings"]


@dataclass(frozen=True)
class Asked:
    """One request: what it means, and the bytes it is sent in."""

    number: int
    method: str
    target: str
    head: bytes
    content: bytes  # the body with its framing
    expects_continue: bool
    is_ruled: bool
    wants_stream: bool
    is_old: bool  # HTTP/1.0
    is_last: bool  # its client takes no answer after this one on the same connection


def ask(rng: random.Random, number: int) -> Asked:
    """Return a random request."""
    is_ruled = rng.random() < 0.3
    wants_stream = is_ruled and rng.random() < 0.6
    method = "POST" if is_ruled else rng.choice(METHODS)
    path = rng.choice(STREAMED if wants_stream else RULED) if is_ruled else path_of(rng)
    target = path + (f"?{query(rng)}" if rng.random() < 0.5 else "")
    body = chat(rng, wants_stream=wants_stream) if is_ruled else content(rng, method)
    headers = travelling(rng)
    if body:
        kind = "application/json" if is_ruled else rng.choice(CONTENT_TYPES)
        headers.append((rng.choice(["Content-Type", "content-type", "CONTENT-TYPE"]), kind))
    version = "1.0" if rng.random() < 0.05 else "1.1"
    chunked = body is not None and version == "1.1" and rng.random() < 0.3
    expects = bool(body) and version == "1.1" and rng.random() < 0.15
    lines = [f"{name}:{space(rng)}{value}{space(rng)}" for name, value in headers]
    lines += rng.sample(STAYING, rng.randrange(4))
    lines.append(f"{CASE}: case {number}")
    if expects:
        lines.append("Expect: 100-continue")
    if body is not None:
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    closes = version == "1.0" or rng.random() < 0.05
    if closes and version == "1.1":
        lines.append("Connection: close")
    rng.shuffle(lines)
    head = "\r\n".join([f"{method} {target} HTTP/{version}", "Host: HERE", *lines, "", ""]).encode()
    framed = in_odd_chunks(rng, body or b"") if chunked else body or b""
    return Asked(
        number=number,
        method=method,
        target=target,
        head=head,
        content=framed,
        expects_continue=expects,
        is_ruled=is_ruled,
        wants_stream=wants_stream,
        is_old=version == "1.0",
        is_last=closes,
    )


def path_of(rng: random.Random) -> str:
    """Return a path below /v1 that is only passed on; no segment is empty, or climbs."""
    segments = [rng.choice(["files", "batches", "anything", "audio/speech"])]
    for _ in range(rng.randrange(4)):
        letters = [rng.choice([*PATH_LETTERS, *ESCAPES]) for _ in range(rng.randrange(1, 12))]
        segments.append("s" + "".join(letters))
    return "/v1/" + "/".join(segments)


def query(rng: random.Random) -> str:
    """Return a query: what no client should send is sent by some."""
    return "".join(rng.choice([*QUERY_LETTERS, *ESCAPES, *BROKEN_ESCAPES]) for _ in range(rng.randrange(1, 40)))


def travelling(rng: random.Random) -> list[tuple[str, str]]:
    """Return headers that go upstream, some in odd cases."""
    names = rng.sample(TRAVELLING, rng.randrange(5))
    return [(rng.choice([name, name.lower(), name.upper()]), rng.choice(VALUES)) for name in names]


def space(rng: random.Random) -> str:
    """Return what may stand around a value."""
    return rng.choice([" ", " ", "", "\t", "   "])


def content(rng: random.Random, method: str) -> bytes | None:
    """Return a body, mostly none where none is usual."""
    if rng.random() < (0.9 if method in ("GET", "HEAD") else 0.2):
        return None
    kind = rng.randrange(8)
    if kind == 0:
        return b""
    if kind == 1:
        return json.dumps({"a": [1, None, "ü"]}).encode()
    if kind == 2:
        part = b'--a b\r\nContent-Disposition: form-data; name="file"; filename="x\xff"\r\n\r\n'
        return part + rng.randbytes(rng.randrange(2000)) + b"\r\n--a b--\r\n"
    if kind == 3:
        return rng.randbytes(rng.choice([65_535, 65_536, 65_537, 262_144, 262_145, 300_000]))
    if kind == 4 and rng.random() < 0.3:
        return rng.randbytes(1_048_576 + rng.randrange(-1, 2) * 5_000)
    return rng.randbytes(rng.randrange(1, 3000))


def chat(rng: random.Random, *, wants_stream: bool) -> bytes:
    """Return JSON as no serializer of ours would write it."""
    text = "".join(
        rng.choice(["a", "\\u00e9", "ü", "\\ud83d\\ude00", "\\n", " ", "😀"]) for _ in range(rng.randrange(40))
    )
    pad = rng.choice(["", " ", "\n", "\r\n\t"])
    streamed = f'"stream":{pad}{"true" if wants_stream else "false"},' if wants_stream or rng.random() < 0.3 else ""
    unknown = rng.choice(["", '"unknown":{"a":[1.0,1e2,-0,12345678901234567890]},', '"n":1,', '"model":"earlier",'])
    large = f'"metadata":"{"m" * 300_000}",' if rng.random() < 0.02 else ""
    fields = (
        f'{{{pad}{unknown}{streamed}{large}"model":{pad}"m","messages":[{{"role":"user","content":"{text}"}}]{pad}}}'
    )
    return f"{pad}{fields}{pad}".encode()


def in_odd_chunks(rng: random.Random, body: bytes) -> bytes:
    """Return a chunked body: sizes in either case, with zeros before, extensions, trailers."""
    pieces = []
    while body:
        size = rng.choice([1, 2, 9, 10, 15, 16, 255, 4096, 65_536, len(body)])
        piece, body = body[:size], body[size:]
        number = rng.choice(["%x", "%X", "0%x", "00000%X"]) % len(piece)
        extension = rng.choice(["", "", "", ";a", ";a=b", ';a="b c"'])
        pieces.append(f"{number}{extension}\r\n".encode() + piece + b"\r\n")
    last = rng.choice([b"0\r\n", b"000\r\n", b"0;end\r\n"])
    return b"".join(pieces) + last + rng.choice([b"", b"", b"X-Trailer: 1\r\nX-Title: behind\r\n"]) + b"\r\n"


def pieces_of(rng: random.Random, data: bytes, most: int = 12) -> list[bytes]:
    """Cut bytes into a few pieces, anywhere."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(most))) if data else []
    return [piece for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if (piece := data[start:end])]
