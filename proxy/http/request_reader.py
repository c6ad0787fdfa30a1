"""Read the requests of one connection, with llhttp: heads, bodies, and what wraps them. No sockets and no policy."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.errors.request import HeadTooLarge, MalformedRequest, RequestRefused, TargetTooLong
from proxy.http.sizes import MAX_HEAD_BYTES, MAX_TARGET_BYTES, BodyFraming, check_head

RawHeaders = list[tuple[bytes, bytes]]
Key = tuple[Hashable, bytes, bytes]

HEAD_END = b"\r\n\r\n"
VERSIONS = ("1.0", "1.1")
# The length of a body as nearly every client writes it. Digits enough for a body that comes in one packet.
LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,15})\r\n")


@dataclass(slots=True)
class IncomingHead:
    """The head of a request as it came: nothing is judged, and the values are bytes."""

    method: str
    path: bytes  # as the client encoded it
    query: bytes
    version: str  # "1.1" or "1.0"
    headers: RawHeaders  # names in lower case
    length: int | None = 0  # of the body, in bytes; None: only its end tells
    keeps_alive: bool = True  # the client may send another request behind it
    expects_continue: bool = False
    is_handshake: bool = False  # of a WebSocket: what follows is not HTTP
    key: Key | None = None  # other heads with this key differ in nothing but the length of the body


class Receiver(Protocol):
    """Hear of the requests. What it raises refuses the one under way."""

    def on_target(self, method: str, target: bytes) -> None:
        """Judge the target of a request before anything else of it."""

    def on_request(self, head: IncomingHead, body: bytes | None) -> None:
        """Take a request; None: its body arrives by `on_body` and `on_end`."""

    def on_known(self, kept: Any, body: bytes) -> None:
        """Take a whole request with the head of which `known` has returned something."""

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""

    def on_end(self) -> None:
        """Take note that the body is complete."""

    def on_tunnelled(self, data: bytes) -> None:
        """Take what follows the handshake of a WebSocket."""


class RequestReader:
    """Feed it what arrives; it tells its receiver.

    `known` returns what is kept for the key of a head, or None; `place` is part of each key. A request of a known head
    that comes in one packet is not parsed: its head has the very bytes of one that was, but for those of the length.
    """

    def __init__(
        self, receiver: Receiver, known: Callable[[Key], Any] = lambda _: None, place: Hashable = None
    ) -> None:
        self._receiver = receiver
        self._known = known
        self._place = place
        self._parser = HttpRequestParser(self)
        self.framing = BodyFraming()
        self.heads = 0  # begun so far
        self.is_between = True  # no byte of the next head has come
        self.is_over = False  # the client has said that no request follows
        self._is_tunnel = False
        self._packet = b""  # the one being parsed, where a head begins with it
        self._fed_bytes = 0  # since the end of the last request
        self._target = b""
        self._headers: RawHeaders = []

    @property
    def target(self) -> tuple[str, bytes]:
        """Return method and target of the head under way, as far as they have come."""
        return (self._parser.get_method().decode("latin-1") if self._target else "", self._target)

    def close(self) -> None:
        """Let go of the parser, which holds this reader in its turn; nothing is read after that."""
        del self._parser

    def feed(self, data: bytes) -> None:
        """Read on; raises RequestRefused, and then nothing more can be read."""
        if self._is_tunnel:
            self._receiver.on_tunnelled(data)
            return
        if self.is_over and self.is_between:
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
        try:
            self._parse(data)
        except HttpParserError as error:
            if self.is_over and self.is_between:
                return  # it came in one packet with the last request
            cause = error.__context__  # what a callback of ours raised, where it was one
            raise cause if isinstance(cause, RequestRefused) else MalformedRequest("it cannot be read") from None
        self._check_sizes(len(data))

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

    def _parse(self, data: bytes) -> None:
        """Parse; an offer of another protocol (Java offers HTTP/2 with its first request) is passed over.

        The parser stops at an offer, and cannot be told to go on: another begins with the same head without it. Each
        round takes bytes, or the request is refused; raises MalformedRequest.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                taken_bytes = offer.args[0]
            else:
                return
            data = data[taken_bytes:]
            if self._is_tunnel:
                if data:
                    self._receiver.on_tunnelled(data)
                return
            if not taken_bytes or not self._is_read_without_offer():
                raise MalformedRequest("it leaves HTTP/1.1 for another protocol")

    def _is_read_without_offer(self) -> bool:
        """Go on with a new parser that has read the same head without its offer; False where that stops it too."""
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._target, version)]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = HttpRequestParser(self)
        try:
            self._parser.feed_data(b"\r\n".join([*lines, b"", b""]))
        except HttpParserUpgrade:
            return False
        return True

    def _check_sizes(self, packet_bytes: int) -> None:
        """Refuse a head under way that is too large already, and too much around a body."""
        self.framing.add_packet(packet_bytes)
        if self.framing.is_open:
            return
        if not self.is_between and len(self._target) > MAX_TARGET_BYTES:
            raise TargetTooLong
        if self._fed_bytes > MAX_HEAD_BYTES:
            raise HeadTooLarge

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a head."""
        self.heads += 1
        self.is_between = False
        self._target, self._headers = b"", []

    def on_url(self, piece: bytes) -> None:
        """Keep a piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the blanks behind its value, which the parser leaves there; count a trailer."""
        if self.framing.is_open:
            self.framing.add_trailer(name, value)
        else:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Hand the head over, unless an offer is to be taken out of it first."""
        parser, headers = self._parser, self._headers
        method, version = parser.get_method().decode("latin-1"), parser.get_http_version()
        if version not in VERSIONS:
            raise MalformedRequest("it is not HTTP/1.1")
        check_head(self._target, headers)
        self._receiver.on_target(method, self._target)
        upgrades = parser.should_upgrade()
        named = dict(headers)
        is_handshake = upgrades and named.get(b"upgrade", b"").strip().lower() == b"websocket"
        if upgrades and not is_handshake:
            return
        codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
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
            keeps_alive=not is_handshake and version == "1.1" and parser.should_keep_alive(),
            expects_continue=named.get(b"expect", b"").lower() == b"100-continue",
            is_handshake=is_handshake,
        )
        head.key, self._packet = self._key_of(head), b""
        self.is_over = not head.keeps_alive
        self.framing.begin()
        if is_handshake:
            self._is_tunnel = True
        self._receiver.on_request(head, b"" if head.length == 0 or is_handshake else None)

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
            return None if any(name == b"content-length" for name, _ in head.headers) else (self._place, raw, b"")
        return (self._place, raw[: found.start(1)], raw[found.end(1) :])

    def on_chunk_header(self) -> None:
        """Count a chunk of the body."""
        self.framing.add_chunk()

    def on_body(self, piece: bytes) -> None:
        """Hand over a piece of the body."""
        self.framing.add_body(len(piece))
        self._receiver.on_body(piece)

    def on_message_complete(self) -> None:
        """Take note of the end of a request; the head of an offer has none."""
        self._packet = b""  # a second head in it may be told by a key once it comes by itself
        if not self.framing.is_open:
            return
        self.framing.end()
        self.is_between = True
        self._fed_bytes = 0  # what follows in the same packet is counted when its head is complete
        self._receiver.on_end()
