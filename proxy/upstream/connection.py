"""One connection of the pool to the upstream: the HTTP client's own, but for where that would lie or wait."""

import asyncio
import math
import re
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpParser, RawResponseMessage

from proxy.http.batching import BatchedTransport

CLOCK_S = 0.001  # a timer may fire this much early
SWITCHING_PROTOCOLS = 101
BEHIND_A_BLANK_LINE = re.compile(rb"(?<=\n\r\n)|(?<=\n\n)")
MAX_KEPT_BYTES = 262_144  # of interim answers; no head is as long

Message = tuple[Any, Any]  # a head, and the body as it arrives


class UpstreamConnection(ResponseHandler):
    """One connection of the pool: it knows whether it was used before, and wakes who reads when it is lost.

    The client starts a new timer with every chunk that arrives. This one notes the time instead, and looks at that when
    its one timer runs out; it then sees, too, whether what came was any of the body.
    """

    _parser: Any  # the client's, or ours before it

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._is_new = True
        self._silent_until: float | None = None
        self._look: asyncio.TimerHandle | None = None
        self._seen_body: tuple[object, int] | None = None  # what had come of a body at an earlier look
        self._seen_at = 0.0  # the time of that look
        self._params: dict[str, Any] = {}  # of the answer under way
        self._head: RawResponseMessage | None = None  # of the last answer
        self.has_begun = False  # a byte had come of an answer whose head the connection's end broke off

    def is_used_again(self) -> bool:
        """Take note of a use, and tell whether there was one before."""
        again, self._is_new = not self._is_new, False
        return again

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(BatchedTransport(transport))  # type: ignore[arg-type]  # it is one in all that matters

    def is_connected(self) -> bool:
        """Tell the pool whether another request may be sent: none where more than the last answer has come."""
        return super().is_connected() and not self._has_surplus()

    def _has_surplus(self) -> bool:
        try:
            return self.should_close or (self._parser is not None and self._parser.feed_eof() is not None)
        except HttpProcessingError:
            return True

    def set_response_params(self, **params: Any) -> None:
        """Expect an answer."""
        self._params, self._seen_body = params, None
        self._parser = HeadParser(self, self.renew_parser())

    def renew_parser(self) -> HttpParser[Any]:
        """Return a new parser for the answer that is under way."""
        super().set_response_params(**self._params)
        parser: HttpParser[Any] = self._parser
        return parser

    def go_on(self, parser: HttpParser[Any], head: RawResponseMessage | None) -> None:
        """Give every later byte to this parser; the head is here, unless it keeps too many waiting."""
        self._parser, self._head = parser, head

    def data_received(self, data: bytes) -> None:
        """Read on; an interim answer (1xx) does not stop the clock: the client takes it for the whole answer."""
        ran = self._silent_until is not None  # it does not while the request is still being sent
        super().data_received(data)
        if ran and self._silent_until is None and self._awaits_head() and self._exception is None:
            self._reschedule_timeout()

    def _awaits_head(self) -> bool:
        return isinstance(self._parser, HeadParser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the answer that was being read: after a broken chunk the client itself would leave its reader waiting."""
        payload = self._payload
        if isinstance(self._parser, HeadParser):
            self.has_begun = self._parser.has_begun
        if exc is not None and payload is not None and self._head is not None and ends_with_the_connection(self._head):
            payload.set_exception(broken_within())
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(broken_within())

    def _reschedule_timeout(self) -> None:
        # The client asks for it, too, where a resumed parser has at once stopped again: what waits is here, not there.
        if not self._read_timeout or self._reading_paused:
            self._silent_until = None
            return
        self._silent_until = self._loop.time() + self._read_timeout
        if self._look is None:
            self._look = self._loop.call_later(self._read_timeout, self._look_at_time)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _look_at_time(self) -> None:
        self._look = None
        if self._silent_until is None:
            return
        now = self._loop.time()
        left_s = min(self._silent_until - now, self._left_for_body_s(now))
        if left_s > CLOCK_S:
            self._look = self._loop.call_later(left_s, self._look_at_time)
        else:
            self._silent_until = None
            self._on_read_timeout()

    def _left_for_body_s(self, now: float) -> float:
        """Return the seconds in which something of the answer's body must come, or its end.

        Chunk sizes, their extensions and a trailer are no progress: one that drips would never end.
        """
        payload = self._payload
        if payload is None or not self._read_timeout or self._awaits_head():
            return math.inf
        if (come := (payload, payload.total_bytes)) != self._seen_body:
            self._seen_body, self._seen_at = come, now
        return self._seen_at + self._read_timeout - now


class HeadParser:
    """Stand before the client's parser until an answer's head has come; later bytes go past it.

    An answer may have more behind it than it announced: what was announced is the answer, the rest is nobody's. The
    client's parser takes the rest for the next answer. Where it is none the parser fails, and with it is lost what it
    has read in the same go; then the head is read again, piece by piece.
    """

    __slots__ = ("_connection", "_kept", "_parser")

    def __init__(self, connection: UpstreamConnection, parser: HttpParser[Any]) -> None:
        self._connection = connection
        self._parser = parser
        self._kept = b""

    @property
    def has_begun(self) -> bool:
        """Tell whether a byte has come."""
        return bool(self._kept)

    def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
        """Parse; raises HttpProcessingError for what is no answer."""
        self._kept = self._kept + data if self._kept else data
        try:
            read = self._parser.feed_data(data)
        except HttpProcessingError:
            return self._read_again(), False, b""
        if read[0] and is_final(read[0][-1]):
            self._connection.go_on(self._parser, read[0][-1][0])
        elif len(self._kept) > MAX_KEPT_BYTES:
            self._connection.go_on(self._parser, None)
        return read

    def feed_eof(self) -> Any:
        """End; returns the head that was begun."""
        return self._parser.feed_eof()

    def pause_reading(self) -> None:
        """Parse no further for now."""
        self._parser.pause_reading()

    def _read_again(self) -> list[Message]:
        """Read head by head what came; raises HttpProcessingError where no whole answer stands before the rest."""
        self._parser = self._connection.renew_parser()
        messages: list[Message] = []
        try:
            for piece in BEHIND_A_BLANK_LINE.split(self._kept):
                messages += self._parser.feed_data(piece)[0]
        except HttpProcessingError:
            answer = next((message for message in messages if is_final(message)), None)
            if answer is None or not answer[1].is_eof():
                raise
            messages = messages[: messages.index(answer) + 1]
        self._connection.go_on(self._parser, messages[-1][0])
        self._connection.force_close()
        return messages


def is_final(message: Message) -> bool:
    """Tell whether nothing but a body follows this head."""
    return bool(message[0].code >= 200 or message[0].code == SWITCHING_PROTOCOLS)


def ends_with_the_connection(head: RawResponseMessage) -> bool:
    """Tell whether an answer's only end is that of the connection, which must then be a proper one."""
    return not head.chunked and "content-length" not in head.headers


def broken_within() -> aiohttp.ClientPayloadError:
    """Return the error of an answer that is cut short."""
    return aiohttp.ClientPayloadError("the connection ended within the answer")
