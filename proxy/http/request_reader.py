"""Read the requests of one connection, with llhttp: heads, bodies, and what wraps them. No sockets and no policy."""

import re
from collections.abc import Callable, Hashable
from itertools import chain
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors.request import HeadTooLarge, MalformedRequest, RequestRefused, TargetTooLong
from proxy.http.request_head import IncomingHead, Key, RawHeaders, Receiver, encoded_head
from proxy.http.sizes import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES, BodyFraming

HEAD_END = b"\r\n\r\n"
# The length of a body as nearly every client writes it. Digits enough for a body that comes in one packet.
LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,15})\r\n")


class RequestReader:
    """Feed it what arrives; it tells its receiver.

    `known` returns what is kept for the key of a head, or None; `place` is part of each key. A request of a known head
    that comes in one packet is not parsed: its head has the very bytes of one that was, but for those of the length.
    """

    __slots__ = (
        *(
            "_fed_bytes",
            "_framing",
            "_head",
            "_headers",
            "_is_chunked",
            "_is_in_body",
            "_is_last",
            "_is_tunnel",
            "_known",
        ),
        *("_packet", "_parser", "_pieces", "_place", "_receiver", "_target", "body_bytes", "heads", "is_between"),
    )

    def __init__(
        self, receiver: Receiver, known: Callable[[Key], Any] = lambda _: None, place: Hashable = None
    ) -> None:
        self._receiver = receiver
        self._known = known
        self._place = place
        self._parser = HttpRequestParser(self)
        self._framing = BodyFraming()
        self.heads = 0  # begun so far
        self.body_bytes = 0  # of all bodies so far
        self.is_between = True  # no byte of the next head has come
        self._is_in_body = self._is_chunked = False
        self._is_last = False  # the client has said that no request follows
        self._is_tunnel = False
        self._fed_bytes = 0  # since the end of the last request
        self._packet = b""  # the one being parsed, where a head begins with it
        self._target = b""
        self._headers: RawHeaders = []
        self._head: IncomingHead | None = None  # complete, and the receiver has not heard of it
        self._pieces: list[bytes] = []  # of its body

    @property
    def is_body_open(self) -> bool:
        """Tell whether the body of a request that the receiver knows of is still arriving."""
        return self._is_in_body and self._head is None

    @property
    def is_body_bare(self) -> bool:
        """Tell whether the last packet brought nothing of the open body but what wraps it."""
        return self._is_chunked and self._framing.is_bare

    @property
    def target(self) -> tuple[str, bytes]:
        """Return method and target of the head that came last, as far as they have come."""
        return (self._parser.get_method().decode("latin-1") if self._target else "", self._target)

    def close(self) -> None:
        """Let go of the parser, which holds this reader in its turn; nothing is read after that."""
        del self._parser

    def feed(self, data: bytes) -> None:
        """Read on; raises RequestRefused, and then nothing more can be read."""
        data = bytes(data)  # up to Python 3.11 the loop of Windows hands over a bytearray, which is no key of a cache
        if self._is_tunnel:
            self._receiver.on_tunnelled(data)
            return
        if self._is_last and self.is_between:
            return  # what follows the last request is nothing to us
        while self.is_between and not self._fed_bytes:
            taken_bytes = self._take_known(data)
            if not taken_bytes:
                break
            if taken_bytes == len(data):
                return
            data = data[taken_bytes:]
        self._fed_bytes += len(data)
        self._packet = data if self.is_between and self._fed_bytes == len(data) else b""
        refusal: RequestRefused | None = None
        tunnelled = b""
        try:
            tunnelled = self._parse(data)
            self._check_sizes(len(data))
        except RequestRefused as error:
            refusal = error
        except HttpParserError as error:
            if not (self._is_last and self.is_between):  # what came in one packet with the last request is passed over
                cause = error.__context__  # what a callback of ours raised, where it was one
                refusal = cause if isinstance(cause, RequestRefused) else MalformedRequest("it cannot be read")
        if self._head is not None and not (refusal is not None and self._is_in_body):
            self._announce()
        if refusal is not None:
            raise refusal
        if tunnelled:
            self._receiver.on_tunnelled(tunnelled)

    def _take_known(self, data: bytes) -> int:
        """Tell the receiver of a whole request with a known head; return its bytes, 0 where it must be parsed."""
        end = data.find(HEAD_END)
        if end < 0:
            return 0
        found = LENGTH.search(data, 0, end + 2)
        if found is None:
            key, stop = (self._place, data[: end + 2], b""), end + 4
        else:
            key = (self._place, data[: found.start(1)], data[found.end(1) : end + 2])  # the last one begins a line
            stop = end + 4 + int(found[1])
            if stop > len(data):
                return 0
        kept = self._known(key)
        if kept is None:
            return 0
        self.heads += 1
        self._receiver.on_known(kept, data[end + 4 : stop])
        return stop

    def _parse(self, data: bytes) -> bytes:
        """Parse, and return what follows a handshake.

        An offer of another protocol (Java offers HTTP/2 with its first request) is passed over. The parser stops at it
        and cannot be told to go on: another begins with the same head without it. Each round takes bytes.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                taken_bytes = offer.args[0]
            else:
                break
            data = data[taken_bytes:]
            if self._is_tunnel:
                return data
            if not taken_bytes or not self._is_read_without_offer():
                raise MalformedRequest("it leaves HTTP/1.1 for another protocol")
        return b""

    def _is_read_without_offer(self) -> bool:
        """Go on with a new parser that has read the same head without its offer; False where that stops it too."""
        old, others = self._parser, [header for header in self._headers if header[0] != b"upgrade"]
        head = encoded_head(old.get_method(), self._target, old.get_http_version(), others)
        self._parser = HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
        except HttpParserUpgrade:
            return False
        return True

    def _check_sizes(self, packet_bytes: int) -> None:
        """Refuse a head under way that is too large already, and too much around a body in chunks."""
        if self._is_chunked:
            self._framing.add_packet(packet_bytes)
        if self._is_in_body:
            return
        if not self.is_between and len(self._target) > MAX_TARGET_BYTES:
            raise TargetTooLong
        if self._fed_bytes > MAX_HEAD_BYTES:
            raise HeadTooLarge

    def _announce(self) -> None:
        """Tell the receiver of the request that has come."""
        assert self._head is not None  # noqa: S101  the caller has looked
        head, pieces, self._head, self._pieces, self._headers = self._head, self._pieces, None, [], []
        try:
            self._receiver.on_request(head, None if self._is_in_body else b"".join(pieces))
        except RequestRefused:
            self._is_in_body = False
            raise
        if self._is_in_body:
            for piece in pieces:
                self._receiver.on_body(piece)

    def on_message_begin(self) -> None:
        """Begin a head; raises MalformedRequest behind the last one, where HTTP/1.0 has the parser go on."""
        if self._is_last:
            raise MalformedRequest("it follows the last request")
        if self._head is not None:
            self._announce()
        self.heads += 1
        self.is_between = False
        self._target, self._headers = b"", []

    def on_url(self, piece: bytes) -> None:
        """Keep a piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the blanks behind its value, which the parser leaves there; count a trailer."""
        if self._is_in_body:
            self._framing.add_trailer(name, value)
        else:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take the head, unless an offer is to be taken out of it first."""
        headers, named = self._headers, dict(self._headers)
        check_head(self._target, headers)
        method, version = self._parser.get_method().decode("latin-1"), self._parser.get_http_version()
        upgrades = self._parser.should_upgrade()
        is_handshake = upgrades and named.get(b"upgrade", b"").lower() == b"websocket"
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
        if version not in ("1.0", "1.1"):
            raise MalformedRequest("it is not HTTP/1.1")
        if codings not in ([], [b"chunked"]):
            raise MalformedRequest("its transfer encoding is not chunked alone")
        target, _, query = self._target.partition(b"#")[0].partition(b"?")
        head = IncomingHead(
            method=method,
            path=target,
            query=query,
            version=version,
            headers=headers,
            length=None if codings else int(named.get(b"content-length", 0)),
            keeps_alive=not is_handshake and version == "1.1" and self._parser.should_keep_alive(),
            expects_continue=version == "1.1" and named.get(b"expect", b"").lower() == b"100-continue",
            is_handshake=is_handshake,
        )
        if method == "CONNECT":  # whatever follows is not HTTP: the parser would stop here
            self._receiver.on_request(head, None)
        if upgrades and not is_handshake:
            return
        head.key, self._packet = self._key_of(head), b""
        self._head = head
        self._is_last, self._is_tunnel = not head.keeps_alive, is_handshake
        self._is_in_body, self._is_chunked = True, bool(codings)
        if codings:
            self._framing.begin()

    def _key_of(self, head: IncomingHead) -> Key | None:
        """Return the key of a head that began with this packet and ends in it, where each next one can be told by it.

        Every line of it must be one header, so that its end is where the parser has found it.
        """
        end = self._packet.find(HEAD_END)
        if end < 0 or not head.keeps_alive or head.expects_continue or head.length is None:
            return None
        raw = self._packet[: end + 2]
        is_all_headers = raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r") == len(head.headers) + 1
        if not is_all_headers or raw.startswith(b"\r"):  # an empty line before it
            return None
        found = LENGTH.search(raw)
        if found is None:
            return (self._place, raw, b"") if b"content-length" not in dict(head.headers) else None
        return (self._place, raw[: found.start(1)], raw[found.end(1) :])

    def on_chunk_header(self) -> None:
        """Count a chunk of the body."""
        self._framing.add_chunk()

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body, or hand it over."""
        self.body_bytes += len(piece)
        if self._is_chunked:
            self._framing.add_body(len(piece))
        if self._head is not None:
            self._pieces.append(piece)
        else:
            self._receiver.on_body(piece)

    def on_message_complete(self) -> None:
        """Take note of the end of a request; the head of an offer has none."""
        if not self._is_in_body:
            return
        self._is_in_body, self.is_between = False, True
        self._fed_bytes = 0  # what follows in the same packet is counted when its head is complete
        if self._is_chunked:
            self._framing.end()
        if self._head is None:
            self._receiver.on_end()


def check_head(target: bytes, headers: RawHeaders) -> None:
    """Refuse a head that is too large; raises TargetTooLong or HeadTooLarge."""
    if len(target) > MAX_TARGET_BYTES:
        raise TargetTooLong(f"{len(target)} bytes")
    if len(headers) > MAX_HEADERS:
        raise HeadTooLarge(f"{len(headers)} headers")
    size = sum(map(len, chain.from_iterable(headers))) + len(": \r\n") * len(headers)
    if size > MAX_HEAD_BYTES:
        raise HeadTooLarge(f"{size} bytes")
