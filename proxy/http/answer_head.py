"""The head of an answer as it stands on the wire."""

from collections.abc import Iterable
from http import HTTPStatus

PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {status: f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n" for status in range(100, 600)}


def encode_head(status: int, lines: Iterable[str]) -> bytes:
    """Return a head; each line ends as lines do here. Raises ValueError where one would pass for two.

    A value is the text of its bytes in Latin-1, as in WSGI; what does not fit in there goes out as UTF-8.
    """
    lines = [STATUS_LINES[status], *lines]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise ValueError("a header holds a line break")
    try:
        return text.encode("latin-1") + b"\r\n"
    except UnicodeEncodeError:
        return b"".join(map(encoded_line, lines)) + b"\r\n"


def encoded_line(line: str) -> bytes:
    """Return a line of a head as bytes."""
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape")
