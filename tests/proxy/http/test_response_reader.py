"""Answers are read the same whatever packets they come in, and as a plain reading of RFC 9112 has them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http.response_reader import MAX_BETWEEN_BYTES, MAX_INTERIM, TAKEN_BYTES, MalformedResponse, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Read:
    """What came of some bytes, fed in packets."""

    def __init__(self, packets: list[bytes], *, to_head: bool = False, eof: bool = False) -> None:
        self.reader = ResponseReader(to_head=to_head)
        self.broken = ""
        body = []
        try:
            for packet in packets:
                self.reader.feed(packet)
                body += taken(self.reader)
        except MalformedResponse as error:
            self.broken = str(error) or "broken"
            body += taken(self.reader)
        if eof and not self.broken:
            self.reader.feed_eof()
        self.body = b"".join(body)

    def outcome(self) -> tuple[object, ...]:
        reader = self.reader
        return (reader.status, reader.headers, self.body, reader.is_complete, reader.is_reusable, bool(self.broken))


def taken(reader: ResponseReader) -> list[bytes]:
    pieces = []
    while reader.pieces:
        pieces.append(reader.take())
    return pieces


def in_chunks(pieces: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


BODIES = st.lists(st.binary(max_size=40), max_size=4)
INTERIM = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: <a>\r\n\r\n" * 2])


@pytest.mark.parametrize("framing", [LENGTH % 6, CHUNKED, b""])
def test_a_loop_that_hands_over_bytearrays_is_read_as_one_of_bytes(framing: bytes) -> None:
    body = in_chunks([b"abc", b"def"]) if framing == CHUNKED else b"abcdef"
    packets = [OK + framing + b"\r\n" + body[:4], body[4:]]

    handed_over = Read(list(map(bytearray, packets)), eof=not framing)

    assert handed_over.outcome() == Read(packets, eof=not framing).outcome()
    assert handed_over.body == b"abcdef"
    assert type(handed_over.reader.headers) is type(Read(packets).reader.headers)


@given(
    INTERIM,
    BODIES,
    st.sampled_from([b"", b";a=b", b';q="x"']),
    st.sampled_from([b"", b"X-T: 1\r\nSet-Cookie: a\r\n"]),
)
@settings(max_examples=60, deadline=None)
def test_a_chunked_answer_is_the_same_cut_at_every_byte(
    interim: bytes, pieces: list[bytes], extension: bytes, trailer: bytes
) -> None:
    data = interim + OK + b"X-A: 1\r\n" + CHUNKED + b"\r\n" + in_chunks(pieces, extension, trailer)
    whole = Read([data])

    assert whole.outcome() == (
        200, [(b"x-a", b"1"), (b"transfer-encoding", b"chunked")], b"".join(pieces), True, True, False,
    )  # fmt: skip
    assert Read([data[at : at + 1] for at in range(len(data))]).outcome() == whole.outcome()
    for at in range(1, len(data)):
        assert Read([data[:at], data[at:]]).outcome() == whole.outcome()
        assert not Read([data[:at]]).reader.is_complete


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=30), st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_the_announced_bytes_are_the_answer_and_more_ends_the_connection(body: bytes, more: bytes, at: int) -> None:
    data = OK + LENGTH % len(body) + b"\r\n" + body
    read = Read([(data + more)[:at], (data + more)[at:]])

    assert (read.body, read.reader.is_complete, read.broken) == (body, True, "")
    assert not read.reader.is_reusable or not more.strip(b"\r\n")


FRAMINGS = {
    "both lengths": (LENGTH % 2 + CHUNKED, None),
    "both lengths, the other way round": (CHUNKED + LENGTH % 2, None),
    "two lengths that differ": (LENGTH % 2 + LENGTH % 3, None),
    "two lengths alike": (LENGTH % 2 + LENGTH % 2, None),
    "a list of lengths": (b"Content-Length: 2, 3\r\n", None),
    "a length with a sign": (b"Content-Length: +2\r\n", None),
    "a negative length": (b"Content-Length: -1\r\n", None),
    "a length in hexadecimal": (b"Content-Length: 0x2\r\n", None),
    "a length that overflows": (b"Content-Length: 99999999999999999999999\r\n", None),
    "chunked and more": (b"Transfer-Encoding: chunked, gzip\r\n", None),
    "more and chunked": (b"Transfer-Encoding: gzip, chunked\r\n", None),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None),
    "identity": (b"Transfer-Encoding: identity\r\n", None),
    "chunked in other letters": (b"Transfer-Encoding: ChUnKeD\r\n", b"2\r\nok\r\n0\r\n\r\n"),
    "chunked behind blanks": (b"Transfer-Encoding: \t chunked \r\n", b"2\r\nok\r\n0\r\n\r\n"),
    "chunked in quotes": (b'Transfer-Encoding: "chunked"\r\n', None),
    "nearly chunked": (b"Transfer-Encoding: xchunked\r\n", None),
    "a vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n", None),
    "an empty encoding": (b"Transfer-Encoding:\r\n", None),
}


@pytest.mark.parametrize(("lines", "body"), FRAMINGS.values(), ids=FRAMINGS)
def test_a_framing_that_can_be_read_in_two_ways_is_no_answer(lines: bytes, body: bytes | None) -> None:
    for step in (1, 1_000):
        data = OK + lines + b"\r\n" + (body or b"2\r\nok\r\n0\r\n\r\n")
        read = Read([data[at : at + step] for at in range(0, len(data), step)])
        if body is None:
            assert read.broken
        else:
            assert (read.body, read.reader.is_complete) == (b"ok", True)


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"zz\r\n", b"-2\r\nok\r\n", b"0x2\r\nok\r\n", b"2\r\nokay\r\n", b"2\nok\n0\n\n", b" 2\r\nok\r\n"),
        *(b"\r\n", b"fffffffffffffffff\r\n"),
    ],
)
def test_a_broken_chunk_is_the_end(chunks: bytes) -> None:
    read = Read([OK + CHUNKED + b"\r\n", chunks, b"0\r\n\r\n"])

    assert not read.reader.is_complete or read.body in (b"ok", b"")


@pytest.mark.parametrize(
    "head",
    [
        *(b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 Odd", b"HTTP/9.9 200 OK"),
        *(b"ICY 200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1  200 OK"),
    ],
)
def test_an_odd_status_line_is_no_answer(head: bytes) -> None:
    assert Read([head + b"\r\n" + LENGTH % 0 + b"\r\n"]).broken


@pytest.mark.parametrize(
    "line", [b"Bare\rCR: 1\r\n", b"No colon\r\n", b": no name\r\n", b"Bl ank: 1\r\n", b"Na\0me: 1\r\n"]
)
def test_a_header_that_is_none_breaks_the_head(line: bytes) -> None:
    assert Read([OK + line + LENGTH % 0 + b"\r\n"]).broken


def test_a_folded_header_is_one_value_or_none() -> None:
    read = Read([OK + b"X-A: one\r\n two\r\n" + LENGTH % 2 + b"\r\nok"])

    if not read.broken:
        assert read.body == b"ok"
        assert [name for name, _ in read.reader.headers] == [b"x-a", b"content-length"]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_none(status: int) -> None:
    read = Read([b"HTTP/1.1 %d X\r\n" % status + LENGTH % 5 + b"\r\n"])

    assert (read.reader.is_complete, read.reader.is_reusable, read.body) == (True, True, b"")


@pytest.mark.parametrize("lines", [LENGTH % 5, b"", CHUNKED], ids=["length", "nothing", "chunked"])
def test_an_answer_to_head_has_no_body(lines: bytes) -> None:
    assert Read([OK + lines + b"\r\n"], to_head=True).reader.is_complete
    for more in (b"hello", b"5\r\nhello\r\n", b"\r"):
        read = Read([OK + lines + b"\r\n" + more], to_head=True)
        assert (read.reader.is_complete, read.reader.is_reusable, read.body) == (True, False, b"")


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 200 OK\r\n", OK + b"Connection: close\r\n"])
def test_an_answer_without_a_length_ends_with_the_connection(head: bytes) -> None:
    begun = Read([head + b"\r\nsome", b" text"])
    ended = Read([head + b"\r\nsome", b" text"], eof=True)

    assert not begun.reader.is_complete
    assert (ended.body, ended.reader.is_complete, ended.reader.is_reusable) == (b"some text", True, False)


@pytest.mark.parametrize(
    ("head", "is_reusable"),
    [
        (OK, True),
        (OK + b"Connection: keep-alive\r\n", True),
        (OK + b"Connection: Close\r\n", False),
        (OK + b"Connection: x, close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_a_connection_is_used_again_where_the_upstream_keeps_it(head: bytes, is_reusable: bool) -> None:
    assert Read([head + LENGTH % 2 + b"\r\nok"]).reader.is_reusable is is_reusable


@pytest.mark.parametrize(
    ("begin", "packet"), [(b"0\r\nX-A: ", b"a" * 8_000), (b"0\r\n", b"X-A: a\r\n" * 1_000), (b"2;", b"a" * 8_000)]
)
def test_what_never_ends_around_the_body_is_too_large(begin: bytes, packet: bytes) -> None:
    reader = ResponseReader()
    reader.feed(OK + CHUNKED + b"\r\n" + begin)
    for _ in range(MAX_BETWEEN_BYTES // len(packet)):
        reader.feed(packet)
    with pytest.raises(MalformedResponse):
        reader.feed(packet * 2)


def test_an_upstream_that_only_says_that_it_works_is_not_believed_for_ever() -> None:
    reader = ResponseReader()
    with pytest.raises(MalformedResponse, match="too often"):
        reader.feed(b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_INTERIM + 1))


def test_what_follows_a_change_of_protocol_is_kept() -> None:
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00")

    assert (reader.status, reader.is_upgrade, reader.rest, reader.is_reusable) == (101, True, b"\x81\x00", False)


@given(st.binary(max_size=300), st.integers(0, 300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes, at: int) -> None:
    for begin in (b"", OK, OK + CHUNKED + b"\r\n", b"HTTP/1.1 "):
        Read([(begin + data)[:at], (begin + data)[at:]], eof=True)


@pytest.mark.parametrize("pieces", [[b"a" * 250_000], [b"a" * 40_000] * 6, [b"a", b"b" * 65_536, b"c" * 65_537, b"d"]])
def test_a_body_is_taken_in_pieces_of_at_most_64_kib(pieces: list[bytes]) -> None:
    reader = ResponseReader()
    reader.feed(OK + CHUNKED + b"\r\n" + in_chunks(pieces))
    body = taken(reader)

    assert max(map(len, body)) <= TAKEN_BYTES == 65_536
    assert b"".join(body) == b"".join(pieces)
    assert reader.held_bytes == 0
