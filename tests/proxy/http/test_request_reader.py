"""The reader of requests: what it takes for one message a plain reading of RFC 9112 does too, however it is fed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors.request import HeadTooLarge, MalformedRequest, RequestRefused, TargetTooLong
from proxy.http.request_head import IncomingHead, Key
from proxy.http.request_reader import RequestReader

Told = tuple[str, bytes, tuple[tuple[bytes, bytes], ...], bytes]  # method, target, headers, body

ADDRESS = ("127.0.0.1", 8000)
GET = b"GET /v1/models HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /v1/files HTTP/1.1\r\nHost: here\r\n"
FUZZ = settings(max_examples=400, deadline=None, database=None)


@dataclass
class Kept:
    """What is kept of a head that was let in."""

    head: IncomingHead


@dataclass
class Seen:
    """A receiver that writes down what it is told, and lets every head be known from then on."""

    remembers: bool = True
    requests: list[tuple[IncomingHead, list[bytes]]] = field(default_factory=list)
    ended: int = 0
    known: dict[Key, Kept] = field(default_factory=dict)
    unparsed: int = 0
    tunnelled: bytes = b""
    refusal: RequestRefused | None = None

    def on_request(self, head: IncomingHead, body: bytes | None) -> None:
        self.requests.append((head, [body] if body else []))
        self.ended += body is not None
        if self.remembers and head.key is not None:
            self.known[head.key] = Kept(head)

    def on_known(self, kept: Kept, body: bytes) -> None:
        self.unparsed += 1
        self.requests.append((kept.head, [body]))
        self.ended += 1

    def on_body(self, piece: bytes) -> None:
        self.requests[-1][1].append(piece)

    def on_end(self) -> None:
        self.ended += 1

    def on_tunnelled(self, data: bytes) -> None:
        self.tunnelled += data

    @property
    def whole(self) -> list[Told]:
        """Return the requests that are complete."""
        return [told(head, b"".join(pieces)) for head, pieces in self.requests[: self.ended]]


def told(head: IncomingHead, body: bytes) -> Told:
    target = head.path + (b"?" + head.query if head.query else b"")
    others = tuple(header for header in head.headers if header[0] != b"content-length")
    return head.method, target, others, body


def read(*packets: bytes, seen: Seen | None = None) -> Seen:
    """Feed the packets, up to what is refused."""
    seen = seen or Seen()
    reader = RequestReader(seen, seen.known.get, ADDRESS)
    try:
        for packet in packets:
            reader.feed(packet)
    except RequestRefused as refusal:
        seen.refusal = refusal
    reader.close()
    return seen


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- a plain reading of RFC 9112 --------------------------------------------------------------------------------------

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") +(/[!-~]*) HTTP/(1\.[01])")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")
ONE_COPY = (b"content-length", b"transfer-encoding")


class Unreadable(Exception):
    """What stands here is no request, or could be read in two ways."""


class Incomplete(Exception):
    """More must come."""


def plain_reading(data: bytes) -> Iterator[Told]:
    """Yield the requests in some bytes; raises Unreadable, and Incomplete at the end of what has come."""
    at, is_last = 0, False
    while not is_last:
        while data.startswith((b"\r", b"\n"), at):  # section 2.2: empty lines before a request are passed over
            at += 1
        lines, at = head_lines(data, at)
        line = REQUEST_LINE.fullmatch(lines[0])
        if line is None:
            raise Unreadable(lines[0])
        headers = [pair(each) for each in lines[1:]]
        for name in ONE_COPY:
            if sum(key == name for key, _ in headers) > 1:
                raise Unreadable(name)
        named = dict(headers)
        coding, length = named.get(b"transfer-encoding"), named.get(b"content-length")
        if coding is not None:
            if length is not None or coding.lower() != b"chunked":  # section 6.1, 6.3
                raise Unreadable(coding)
            body, at = chunks(data, at)
        elif length is not None:
            if re.fullmatch(rb"[0-9]+", length) is None:
                raise Unreadable(length)
            body, at = data[at : at + int(length)], at + int(length)
            if at > len(data):
                raise Incomplete
        else:
            body = b""
        is_last = line[3] == b"1.0" or b"close" in named.get(b"connection", b"").lower()
        others = tuple(header for header in headers if header[0] != b"content-length")
        yield line[1].decode(), line[2], others, body


def head_lines(data: bytes, at: int) -> tuple[list[bytes], int]:
    """Return the lines of a head and where it ends."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        raise Incomplete
    return data[at:end].split(b"\r\n"), end + 4


def pair(line: bytes) -> tuple[bytes, bytes]:
    match = FIELD.fullmatch(line)
    if match is None:
        raise Unreadable(line)
    return match[1].lower(), match[2]


def chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        if data.find(b"\r\n", at) < 0:
            raise Incomplete
        size = CHUNK.match(data, at)
        if size is None:
            raise Unreadable(data[at : at + 20])
        at, length = size.end(), int(size[1], 16)
        if not length:
            break
        if len(data) < at + length + 2:
            raise Incomplete
        if data[at + length : at + length + 2] != b"\r\n":
            raise Unreadable(data[at:])
        body, at = body + data[at : at + length], at + length + 2
    while not data.startswith(b"\r\n", at):  # the trailer
        end = data.find(b"\r\n", at)
        if end < 0:
            raise Incomplete
        pair(data[at:end])
        at = end + 2
    return body, at + 2


def plainly(data: bytes) -> list[Told]:
    """Return the requests before the first that cannot be read or is not complete."""
    found: list[Told] = []
    try:
        for request in plain_reading(data):
            found.append(request)  # noqa: PERF402  what came before an error counts
    except (Unreadable, Incomplete):
        pass
    return found


# --- what is generated ------------------------------------------------------------------------------------------------

LINE_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\n\n", b"\r\r\n", b""])
REQUEST_LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /v1/files?a=b HTTP/1.1"] * 4
    + [
        b"POST / HTTP/1.0",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"get / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /\tHTTP/1.1",
    ]
    + [
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"\r\nGET / HTTP/1.1",
        b"\r\n\r\n\r\nGET / HTTP/1.1",
        b"\nGET / HTTP/1.1",
    ]
    + [b"GET / http/1.1", b"GET /a b HTTP/1.1", b"GET / HTTP/1.1\x00", b"GET /\x80 HTTP/1.1", b"0\r\n", b"GET /"]
)
HEADERS = st.sampled_from(
    [b"Host: here", b"Content-Length: 5", b"Transfer-Encoding: chunked"] * 4
    + [b"Content-Length:5", b"content-length: 5 ", b"CONTENT-LENGTH:\t5", b"Content-Length: 05", b"Content-Length: 0"]
    + [
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content-Length: 5_0",
    ]
    + [b"Content-Length: 5;a", b"Content-Length: 5 5", b"Content-Length:", b"Content-Length : 5", b" Content-Length: 5"]
    + [b"Content-Length: 99999999999999999999", b"Content-Length: \xb25", b"Content_Length: 5", b"Content-Length: 6"]
    + [
        b"transfer-encoding: CHUNKED",
        b"Transfer-Encoding:chunked",
        b"Transfer-Encoding: chunked ",
        b"Transfer-Encoding: \tchunked",
    ]
    + [b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked"]
    + [b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: ,chunked"]
    + [
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: \x0bchunked",
    ]
    + [
        b"Transfer-Encoding : chunked",
        b"Transfer_Encoding: chunked",
        b"Transfer-Encoding: chunked\x00",
        b'Transfer-Encoding: "chunked"',
    ]
    + [
        b"Connection: close",
        b"Connection: keep-alive",
        b"X-A: \xc3\xa9",
        b"X-A: \xe9",
        b"X-A: a\x01",
        b"X-A: a\x7f",
        b"X-A:",
    ]
    + [b": empty", b"no colon", b"X A: b", b"X-A: a\tb", b"X-A\x00: b", b"Expect: 100-continue"]
)
BODIES = st.sampled_from(
    [b"", b"abcde", b"5\r\nabcde\r\n0\r\n\r\n", b"0\r\n\r\n", b"abcdef"] * 4
    + [b"5;a=b\r\nabcde\r\n0\r\n\r\n", b"5 \r\nabcde\r\n0\r\n\r\n", b"05\r\nabcde\r\n00\r\n\r\n", b"5\nabcde\n0\n\n"]
    + [
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"+5\r\nabcde\r\n0\r\n\r\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcdeX\r\n0\r\n\r\n",
    ]
    + [
        b"5\r\nabcd\r\n0\r\n\r\n",
        b"ffffffffffffffff5\r\nabcde\r\n0\r\n\r\n",
        b"5;\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcde0\r\n\r\n",
    ]
    + [
        b"0\r\nX-A: b\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\n bad\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n\n",
        b"\r\n",
    ]
    + [
        b"5\r\nabcde\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        b"abcdeGET /smuggled HTTP/1.1\r\n\r\n",
        b"g\r\n",
        b"5 5\r\nabcde\r\n",
    ]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Return something like a few requests, mostly well-formed."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        lines = [draw(REQUEST_LINES), *draw(st.lists(HEADERS, max_size=4))]
        data += b"".join(line + draw(LINE_ENDS) for line in lines) + draw(
            st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r", b""])
        )
        data += draw(BODIES)
    return data


@st.composite
def cuts(draw: st.DrawFn) -> list[bytes]:
    """Return such bytes in packets."""
    data = draw(messages())
    places = sorted(draw(st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if start < end]


def agrees(seen: Seen, data: bytes) -> bool:
    """Tell whether the reader took nothing for a request that a plain reading does not, and none in another way."""
    plain = plainly(data)
    return seen.whole == plain[: len(seen.whole)]


@FUZZ
@given(messages())
@example(POST + b"Content-Length: 5\r\n\r\n" + b"abcde" + GET)
def test_no_request_is_read_in_another_way_than_the_standard_says(data: bytes) -> None:
    seen = read(data)

    assert agrees(seen, data), (seen.whole, plainly(data))


@FUZZ
@given(cuts())
def test_in_whatever_packets_it_comes_the_same_is_read(packets: list[bytes]) -> None:
    data = b"".join(packets)
    whole, cut, bytewise = read(data), read(*packets), read(*byte_by_byte(data))

    assert cut.whole == bytewise.whole == whole.whole
    assert (cut.refusal is None) == (bytewise.refusal is None) == (whole.refusal is None)
    assert cut.tunnelled == bytewise.tunnelled == whole.tunnelled


@FUZZ
@given(messages(), messages())
def test_who_knows_the_heads_reads_as_who_has_seen_none(first: bytes, second: bytes) -> None:
    knowing = Seen()
    for _ in range(2):
        for data in (first, second):
            read(data, seen=knowing)
    knowing.requests, knowing.ended, knowing.refusal = [], 0, None
    stranger = read(first, second, seen=Seen(remembers=False))
    read(first, second, seen=knowing)

    assert knowing.whole == stranger.whole
    assert (knowing.refusal is None) == (stranger.refusal is None)


SMALL = st.integers(0, 300)


@st.composite
def good_requests(draw: st.DrawFn) -> tuple[bytes, Told]:
    """Return a well-formed request and what it says."""
    body = draw(st.binary(max_size=300))
    line = draw(st.sampled_from([b"POST /v1/files HTTP/1.1", b"PUT /a?b=c%20d HTTP/1.1", b"DELETE / HTTP/1.1"]))
    values = st.text(
        st.characters(min_codepoint=33, max_codepoint=1000, exclude_characters="\x7f"), min_size=1, max_size=20
    )
    others = [(b"x-%d" % number, draw(values).encode()) for number in range(draw(st.integers(0, 5)))]
    head = line + b"\r\nhost: here\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in others)
    if draw(st.booleans()):
        data = (
            head
            + draw(st.sampled_from([b"Content-Length: %d\r\n\r\n", b"content-length:%d \r\n\r\n"])) % len(body)
            + body
        )
        framing: list[tuple[bytes, bytes]] = []
    else:
        sizes, at, data = [], 0, head + b"Transfer-Encoding: chunked\r\n\r\n"
        while at < len(body):
            sizes.append(draw(st.integers(1, len(body) - at)))
            at += sizes[-1]
        at = 0
        for size in sizes:
            data += b"%x\r\n%b\r\n" % (size, body[at : at + size])
            at += size
        data += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: a\r\n"])) + b"\r\n"
        framing = [(b"transfer-encoding", b"chunked")]
    method, target, _ = line.split(b" ")
    return data, (method.decode(), target, ((b"host", b"here"), *others, *framing), body)


@FUZZ
@given(st.lists(good_requests(), min_size=1, max_size=4), SMALL)
def test_what_is_well_formed_is_read_however_it_is_cut(requests: list[tuple[bytes, Told]], at: int) -> None:
    data, said = b"".join(each for each, _ in requests), [each for _, each in requests]
    at = min(at, len(data))

    assert plainly(data) == said
    assert read(data).whole == read(data[:at], data[at:]).whole == read(*byte_by_byte(data)).whole == said


# --- heads that are known ---------------------------------------------------------------------------------------------


def again(*packets: bytes) -> Seen:
    """Read packets on one connection; return what was told, with the count of those that were not parsed."""
    return read(*packets)


@pytest.mark.parametrize("end", [b"Content-Length: 5\r\n\r\nabcde", b"content-length: 5\r\n\r\nabcde", b"\r\n"])
def test_a_head_that_is_known_is_not_parsed_again(end: bytes) -> None:
    seen = again(POST + end, POST + end, POST + end)

    assert seen.unparsed == 2
    assert seen.whole[0] == seen.whole[1] == seen.whole[2]


@pytest.mark.parametrize(
    "packets",
    [[POST + b"Content-Length: 5\r\n\r\nabcde"] * 2, [GET], byte_by_byte(POST + b"Content-Length: 3\r\n\r\nabc")],
)
def test_a_loop_that_hands_over_bytearrays_is_read_as_one_of_bytes(packets: list[bytes]) -> None:
    plain, handed_over = read(*packets), read(*map(bytearray, packets))

    assert handed_over.refusal is None
    assert handed_over.whole == plain.whole
    assert handed_over.unparsed == plain.unparsed
    assert all(type(piece) is bytes for _head, pieces in handed_over.requests for piece in pieces)


def test_a_body_of_another_length_makes_no_other_head() -> None:
    bodies = [b"abcde", b"", b"x" * 70_000, b"abc\r\n\r\nd"]
    seen = again(*(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies))

    assert seen.unparsed == 3
    assert [each[3] for each in seen.whole] == bodies


def test_a_body_that_comes_later_is_waited_for() -> None:
    head = POST + b"Content-Length: 5\r\n\r\n"
    seen = again(head + b"abcde", head, b"fgh", b"ij" + head + b"klmno" + GET)

    assert [each[3] for each in seen.whole] == [b"abcde", b"fghij", b"klmno", b""]


OTHER_HEADS = {
    "another case": POST.replace(b"Host", b"host") + b"Content-Length: 5\r\n\r\nabcde",
    "another host": POST.replace(b"here", b"evil") + b"Content-Length: 5\r\n\r\nabcde",
    "one more header": POST + b"Content-Length: 5\r\nOrigin: https://evil.example\r\n\r\nabcde",
    "a second length": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "no length": POST + b"\r\n",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a zero byte for the length": POST + b"Content-Length: \x00\r\n\r\n",
    "an empty length": POST + b"Content-Length: \r\n\r\n",
    "a length in letters of another script": POST + "Content-Length: \u0665\r\n\r\nabcde".encode(),
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty line before": b"\r\n" + POST + b"Content-Length: 5\r\n\r\nabcde",
}


@pytest.mark.parametrize("other", OTHER_HEADS.values(), ids=OTHER_HEADS)
def test_what_differs_in_more_than_the_length_is_parsed(other: bytes) -> None:
    seen = again(POST + b"Content-Length: 5\r\n\r\nabcde", other)

    assert seen.unparsed == 0


def test_a_request_that_is_the_last_on_its_connection_is_known_by_no_key() -> None:
    closing = POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nabcde"
    knowing = read(closing)
    seen = read(closing, GET, seen=Seen(known=knowing.known))

    assert knowing.known == {}
    assert len(seen.whole) == 1


def test_a_head_of_one_place_is_unknown_at_another() -> None:
    seen = read(GET)
    (key,) = seen.known

    assert key[0] == ADDRESS


# --- what is left of a connection -------------------------------------------------------------------------------------


@pytest.mark.parametrize("surplus", [b"\r\n", b"GET", GET, b"\x00\xff" * 100_000])
@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize(
    "closing",
    [
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_what_follows_the_last_request_is_passed_over(closing: bytes, surplus: bytes, packets: int) -> None:
    seen = read(closing + surplus) if packets == 1 else read(closing, surplus)

    assert (len(seen.whole), seen.refusal) == (1, None)


HANDSHAKE = b"GET /v1/realtime HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    "packets", [[HANDSHAKE + b"frames"], [HANDSHAKE, b"fra", b"mes"], byte_by_byte(HANDSHAKE + b"frames")]
)
def test_what_follows_a_handshake_is_handed_over_as_it_came(packets: list[bytes]) -> None:
    seen = read(*packets)

    assert [head.is_handshake for head, _ in seen.requests] == [True]
    assert seen.tunnelled == b"frames"


@pytest.mark.parametrize("value", [b"Caf\xc3\xa9", b"Caf\xe9", b"a\tb", b"\x80\xff"])
def test_a_value_is_the_bytes_that_came(value: bytes) -> None:
    for packets in (
        [GET[:-2] + b"X-A: " + value + b" \t\r\n\r\n"],
        byte_by_byte(GET[:-2] + b"X-A:" + value + b"\r\n\r\n"),
    ):
        (request,) = read(*packets).whole

        assert request[2][-1] == (b"x-a", value)


# --- limits -----------------------------------------------------------------------------------------------------------

ENDLESS: dict[str, tuple[bytes, bytes, type[RequestRefused]]] = {
    "a target": (b"GET /", b"x" * 1_000, TargetTooLong),
    "a value": (b"GET / HTTP/1.1\r\nX-A: ", b"x" * 1_000, HeadTooLarge),
    "empty lines": (b"", b"\r\n" * 500, HeadTooLarge),
    "empty lines behind a request": (GET, b"\r\n" * 500, HeadTooLarge),
    "many headers": (b"GET / HTTP/1.1\r\n", b"X-A: a\r\n" * 100, HeadTooLarge),
}


@pytest.mark.parametrize(("begin", "more", "refusal"), ENDLESS.values(), ids=ENDLESS)
def test_a_head_without_an_end_is_refused(begin: bytes, more: bytes, refusal: type[RequestRefused]) -> None:
    seen = read(begin, *[more] * 200)

    assert type(seen.refusal) is refusal


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"GET\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_no_http_is_refused_before_its_end(garbage: bytes) -> None:
    assert type(read(garbage).refusal) is MalformedRequest


def test_what_a_receiver_raises_refuses_the_request() -> None:
    class Choosy(Seen):
        def on_request(self, head: IncomingHead, body: bytes | None) -> Any:
            raise TargetTooLong(head.method)

    seen = read(GET, seen=Choosy())

    assert (type(seen.refusal), seen.requests) == (TargetTooLong, [])
