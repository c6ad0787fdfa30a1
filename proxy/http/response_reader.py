"""Read the answer to one request, with llhttp: its head, its body, and what wraps them. No sockets and no policy."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

RawHeaders = list[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 131_072  # of a head, with the interim ones that came since the last packet's end
MAX_HEADERS = 256
MAX_BETWEEN_BYTES = 65_536  # chunk sizes and their extensions, or a trailer, before more of the body comes
TAKEN_BYTES = 65_536  # of a body at a time: whoever passes it on holds as much again, at every step
MAX_INTERIM = 1_000  # answers before the answer (1xx)
BLANK_LINES = (b"\r\n\r\n", b"\n\n")
SWITCHING_PROTOCOLS = 101
WITHOUT_BODY = (SWITCHING_PROTOCOLS, 204, 304)


class MalformedResponse(Exception):
    """What came is no answer; says why."""


class ResponseReader:
    """Feed it what arrives, and `feed_eof` where the connection ends; look at it then.

    What comes behind the answer is not read: the answer stands, and `is_reusable` is false. Each answer has a reader of
    its own, for the parser would carry parts of a trailer over into the next head.
    """

    __slots__ = (
        "_between_bytes",
        "_broken",
        "_has_progressed",
        "_interim",
        "_is_head_answer",
        "_is_until_eof",
        "_parser",
        "has_begun",
        "headers",
        "held_bytes",
        "is_complete",
        "is_head_complete",
        "is_reusable",
        "is_upgrade",
        "pieces",
        "rest",
        "status",
    )

    def __init__(self, *, to_head: bool = False) -> None:
        """`to_head`: the request was a HEAD, so no body comes whatever the head says."""
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        parser = self._parser
        # What upstreams get wrong and nobody is deceived by: one answer is read, and what is behind it never used.
        parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_keep_alive=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._is_head_answer = to_head
        self._is_until_eof = False
        self._interim = 0
        self._between_bytes = 0
        self._has_progressed = False
        self._broken = ""
        self.has_begun = False  # a byte has come
        self.is_head_complete = False  # status and headers are those of the answer
        self.is_complete = False
        self.is_reusable = False  # the connection may carry another request, once this is complete
        self.is_upgrade = False  # the connection has left HTTP; `rest` is what came behind the head
        self.status = 0
        self.headers: RawHeaders = []  # names in lower case
        self.pieces: list[bytes] = []  # of the body, for the reader's owner to take
        self.held_bytes = 0  # in `pieces`
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Read on; return whether the answer has grown. Raises MalformedResponse, and then nothing more can be read."""
        if self._parser is None:
            self.is_reusable = False
            return False
        data = bytes(data)  # up to Python 3.11 the loop of Windows hands over a bytearray
        self.has_begun = True
        self._has_progressed = False
        had_head = self.is_head_complete
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
        except HttpParserError as error:
            if not self.is_complete:
                raise MalformedResponse(self._broken or str(error) or "it cannot be read") from None
            self.is_reusable = False
        if self._broken:
            raise MalformedResponse(self._broken)
        if self.is_complete:
            if self._is_head_answer and not had_head and not data.endswith(BLANK_LINES):
                self.is_reusable = False
            self.let_go()
        elif self._has_progressed:
            self._between_bytes = 0
        else:
            self._between_bytes += len(data)
            if self._between_bytes > (MAX_BETWEEN_BYTES if self.is_head_complete else MAX_HEAD_BYTES):
                raise MalformedResponse(f"{'a trailer' if self.is_head_complete else 'its head'} is too large")
        return self._has_progressed

    def feed_eof(self) -> bool:
        """Take note that the connection has ended properly; return whether the answer is complete."""
        if self.is_head_complete and self._is_until_eof and not self.is_complete:
            self.is_complete = True
            self.let_go()
        self.is_reusable = False
        return self.is_complete

    def take(self) -> bytes:
        """Return what comes next of the body, at most TAKEN_BYTES; call it again while there are `pieces`."""
        pieces = self.pieces
        if len(pieces) == 1:
            taken = pieces.pop()
        elif self.held_bytes <= TAKEN_BYTES:
            taken = b"".join(pieces)
            pieces.clear()
        else:
            count, size_bytes = 0, 0
            while count < len(pieces) and size_bytes + len(pieces[count]) <= TAKEN_BYTES:
                size_bytes += len(pieces[count])
                count += 1
            taken = b"".join(pieces[:count])
            del pieces[:count]
        self.held_bytes -= len(taken)
        return taken

    def let_go(self) -> None:
        """Let go of the parser, which holds this reader in its turn."""
        self._parser = None

    # --- what the parser calls ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Take note of what begins behind the answer."""
        if self.is_complete:
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those of a trailer reach nobody."""
        if self.is_head_complete:
            return
        self.headers.append((name.lower(), value.strip(b" \t")))
        if len(self.headers) > MAX_HEADERS:
            self._broken = "it has too many headers"

    def on_headers_complete(self) -> None:
        """Judge a head: whether it is that of the answer, and how long the body is."""
        if self.is_head_complete:
            return
        parser = self._parser
        assert parser is not None  # noqa: S101  it is who calls
        status: int = parser.get_status_code()
        if 100 <= status < 200 and status != SWITCHING_PROTOCOLS:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._broken = "it says too often that it works"
            return
        size = length = 0
        coding: bytes | None = None
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"content-length":
                length += 1
            elif name == b"transfer-encoding":
                coding = value if coding is None else coding + b"," + value
        if size > MAX_HEAD_BYTES:
            self._broken = "its head is too large"
        elif status < 100:
            self._broken = "its status is no status"
        elif coding is not None and (length or coding.lower() != b"chunked"):
            self._broken = "it has a length and an encoding" if length else "its transfer encoding is not chunked alone"
        self.status = status
        self.is_head_complete = self._has_progressed = True
        self.is_upgrade = bool(parser.should_upgrade())
        if self._is_head_answer:
            self.is_complete = True
            self.is_reusable = coding is None and parser.get_http_version() == "1.1" and not self._says_close()
        else:
            self._is_until_eof = not (length or coding is not None or status in WITHOUT_BODY)
            is_old = coding is not None and parser.get_http_version() == "1.0"  # it cannot mean that
            is_last = self._is_until_eof or is_old or status == SWITCHING_PROTOCOLS
            self.is_reusable = bool(parser.should_keep_alive()) and not is_last

    def _says_close(self) -> bool:
        return any(name == b"connection" and b"close" in value.lower() for name, value in self.headers)

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        if self.is_complete:
            self.is_reusable = False
            return
        if len(piece) <= TAKEN_BYTES:
            self.pieces.append(piece)
        else:
            self.pieces += [piece[at : at + TAKEN_BYTES] for at in range(0, len(piece), TAKEN_BYTES)]
        self.held_bytes += len(piece)
        self._has_progressed = True

    def on_message_complete(self) -> None:
        """Take note of the end of the answer, or of an interim one."""
        if not self.is_head_complete:
            self.headers = []
        else:
            self.is_complete = self._has_progressed = True
