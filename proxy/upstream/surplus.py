"""Answers with more behind them than they announced: what was announced is the answer, the rest is nobody's.

The client's parser takes the rest for the next answer. Where it is none the parser fails, and with it is lost what it
has read in the same go.
"""

import re
from typing import Any, Protocol

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpParser

SWITCHING_PROTOCOLS = 101
BEHIND_A_BLANK_LINE = re.compile(rb"(?<=\n\r\n)|(?<=\n\n)")
MOST_KEPT_BYTES = 262_144  # of interim answers; no head is as long

Message = tuple[Any, Any]  # a head, and the body as it arrives


class Parsed(Protocol):
    """A connection whose bytes go to a parser."""

    def renew_parser(self) -> HttpParser[Any]:
        """Return a new parser for the answer that is under way."""

    def go_on(self, parser: HttpParser[Any], head: Any) -> None:
        """Give every later byte to this parser; the head is here, unless it keeps too many waiting."""

    def force_close(self) -> None:
        """Use the connection for no other request."""


class HeadParser:
    """Stand before the client's parser until an answer's head has come; later bytes go past it."""

    __slots__ = ("_connection", "_kept", "_parser")

    def __init__(self, connection: Parsed, parser: HttpParser[Any]) -> None:
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
        elif len(self._kept) > MOST_KEPT_BYTES:
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
