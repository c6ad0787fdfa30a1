"""Random answers: what upstreams may legally send, however odd, and answers that break off."""

import gzip
import json
import random

from fakes.response_turns import events, message
from fakes.scripted_upstream import completion, completion_chunks
from fidelity.asked import RESPONSES, Asked, in_odd_chunks, pieces_of
from fidelity.upstream import Script

STATUSES = [201, 202, 203, 204, 205, 206, 207, 226, 299, 304, 301, 302, 303, 307, 308, 400, 401, 403, 404, 408, 409,
            418, 422, 429, 451, 499, 500, 501, 502, 503, 504, 529, 599]  # fmt: skip
REASONS = ["OK", "", "Not At All  OK", "Gr\u00fc\u00dfe", "200"]
INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>\r\n\r\n",
]
NAMES = [
    "Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Range", "ETag", "Last-Modified", "Retry-After",
    "x-request-id", "OpenAI-Processing-Ms", "openai-version", "x-ratelimit-remaining-requests", "X-RateLimit-Odd",
    # others, some of which stay
    "Set-Cookie", "Server", "Alt-Svc", "Strict-Transport-Security", "Access-Control-Allow-Origin", "X-Unknown", "Date",
    "Vary", "Via", "Keep-Alive", "Content-Language", "CF-Ray", "Location", "Refresh", "Clear-Site-Data",
    "Content-Security-Policy", "Timing-Allow-Origin", "Cross-Origin-Resource-Policy", "Access-Control-Expose-Headers",
    "anthropic-ratelimit-tokens-remaining",
]  # fmt: skip
VALUES = [b"1", b"", b"a, b", b'W/"x"', b"a\tb", b"a  b", "Grüße".encode(), "Grüße".encode("latin-1"), b"\xff\xfe",
          b"attachment; filename*=UTF-8''%e2%82%ac", b'"', b":", b"x" * 3000]  # fmt: skip
SURPLUS = [b"left over", b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"forged"', b"HTTP/1.1 200 OK\r\nContent-Le"]
KINDS = ["application/json", "APPLICATION/JSON ; charset=utf-8", "text/plain", "application/octet-stream", "audio/mpeg",
         "text/html", "text/event-stream", "application/x-ndjson", "multipart/mixed; boundary=x", None]  # fmt: skip


def answer(rng: random.Random, asked: Asked) -> Script:
    """Return what the upstream does with a request."""
    status = 200 if rng.random() < 0.65 else rng.choice(STATUSES)
    path = asked.target.partition("?")[0]
    kind, body = stream(rng, path) if asked.wants_stream and rng.random() < 0.8 else document(rng)
    if asked.is_ruled and not asked.wants_stream and rng.random() < 0.7:
        kind, body = "application/json", json.dumps(completion("ü" * rng.randrange(50))).encode()
    headers = [(name.encode(), rng.choice(VALUES)) for name in (rng.choice(NAMES) for _ in range(rng.randrange(6)))]
    if kind is not None:
        headers.append((rng.choice([b"Content-Type", b"content-type", b"CONTENT-TYPE"]), kind.encode()))
    if body and rng.random() < 0.05:
        headers.append((b"Content-Encoding", rng.choice([b"gzip", b"GZip"])))
        body = gzip.compress(body)
    has_body = asked.method != "HEAD" and status not in (204, 304)
    minor, framing, framed, end = framed_body(rng, body, has_body=has_body)
    head = b"HTTP/1.%d %d %b\r\n" % (minor, status, rng.choice(REASONS).encode())
    lines = [*headers, *framing]
    rng.shuffle(lines)
    for name, value in lines:
        # No tab behind what frames a body: clients with our parser (node too) then wait for the connection's end.
        blanks = rng.choice([b"", b"", b" "] if (name, value) in framing else [b"", b"", b" \t"])
        head += b"%b:%b%b%b\r\n" % (name, rng.choice([b" ", b"", b"\t "]), value, blanks)
    interim = b"".join(rng.choice(INTERIM) for _ in range(rng.choice([0, 0, 0, 0, 1, 2])))
    data = interim + head + b"\r\n" + framed
    if rng.random() < 0.12:
        data, end = cut_short(rng, data, len(interim)), rng.choice(["fin", "fin", "rst"])
    elif end == "keep" and rng.random() < 0.05:
        end = "surplus"
    pieces = cut(rng, data)
    if end == "surplus":  # what comes later, and finds the connection in use again, is told from an answer by nobody
        pieces[-1] += rng.choice(SURPLUS)
    return Script(pieces, end, rng.choice([0, 0, 0.001]) if len(pieces) < 20 else 0)


def framed_body(
    rng: random.Random, body: bytes, *, has_body: bool
) -> tuple[int, list[tuple[bytes, bytes]], bytes, str]:
    """Return the minor version, the headers that frame a body, the body as it is sent, and how the answer ends."""
    length = (rng.choice([b"Content-Length", b"content-length"]), b"%d" % len(body))
    chunked = (rng.choice([b"Transfer-Encoding", b"TRANSFER-ENCODING"]), rng.choice([b"chunked", b"Chunked"]))
    close = (b"Connection", rng.choice([b"close", b"Close", b"close, x-a"]))
    way = rng.choice(["length", "length", "chunked", "chunked", "end", "1.0 length", "1.0 end", "1.0 kept", "close"])
    if not has_body:
        framing = rng.choice([[length], [], [chunked]] if way != "end" else [[close]])
        return 1, framing, b"", "fin" if way == "end" else "keep"
    if way == "chunked":
        return 1, [chunked], in_odd_chunks(rng, body), "keep"
    if way == "end":
        return 1, rng.choice([[], [close]]), body, "fin"
    if way == "1.0 end":
        return 0, [], body, "fin"
    if way == "1.0 length":
        return 0, [length], body, "fin"
    if way == "1.0 kept":
        return 0, [length, (b"Connection", b"keep-alive")], body, "keep"
    return 1, [length, close] if way == "close" else [length], body, "fin" if way == "close" else "keep"


def cut_short(rng: random.Random, data: bytes, interim: int) -> bytes:
    """Leave the end away: of the body, seldom of the head, never all of it."""
    head_end = data.index(b"\r\n\r\n", interim) + 4
    start = rng.choice([1, head_end, head_end, head_end])
    return data[: rng.randrange(min(start, len(data) - 1), len(data))] or data[:1]


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return the pieces an answer is written in: one, a few, or a byte each."""
    if len(data) < 3_000 and rng.random() < 0.08:
        return [data[at : at + 1] for at in range(len(data))]
    return [data] if rng.random() < 0.4 else pieces_of(rng, data)


def document(rng: random.Random) -> tuple[str | None, bytes]:
    """Return a content type and a body that need not fit it."""
    kind = rng.choice(KINDS)
    if kind is not None and "json" in kind.lower() and rng.random() < 0.9:
        text = rng.choice(["x", "ü", "\u2028"]) * rng.choice([0, 1, 300, 30_000])
        value = rng.choice([{"id": "1", "text": text}, [text], {"error": {"message": text or "m", "code": None}}, {}])
        size = rng.choice([0] * 30 + [1_100_000])
        return kind, json.dumps(value, ensure_ascii=rng.random() < 0.5).encode() + b" " * size
    body = rng.choice(
        [b"", b"x", rng.randbytes(300), rng.randbytes(70_000), b"data: x\n\n: c\r\n\r\nevent: e\rdata:\r\r"]
    )
    return kind, body


def stream(rng: random.Random, path: str) -> tuple[str | None, bytes]:
    """Return a stream, whole, with what providers put between its events."""
    words = ["".join(rng.choices(["a", "ü", "\n", '"', "😀", "data:", " "], k=rng.randrange(6))) for _ in range(6)]
    is_response = path == RESPONSES
    chunks = events(message("".join(words))) if is_response else completion_chunks(*words[: rng.randrange(7)])
    line = rng.choice(["\n", "\n", "\r\n"])
    told = []
    for chunk in chunks:
        name = f"event: {chunk['type']}{line}" if is_response else rng.choice(["", "", f"event: message{line}"])
        before = rng.choice(["", "", "", f": comment{line}", f"id: 1{line}", f"retry: 1{line}"])
        data = json.dumps(chunk, ensure_ascii=rng.random() < 0.5)
        told.append(f"{before}{name}data:{rng.choice([' ', ''])}{data}{line}{line}{rng.choice(['', '', line])}")
    told.insert(rng.randrange(len(told)), rng.choice(["", f": OPENROUTER PROCESSING{line}{line}"]))
    end = "" if is_response else f"data: [DONE]{line}{line}"
    if is_response:
        told[-1] = told[-1].rstrip() + line + line  # what comes behind the last event is nobody's
    bom = rng.choice(["", "", "", "\ufeff"])
    kind = rng.choice(["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream"])
    return kind, f"{bom}{''.join(told)}{end}".encode()
