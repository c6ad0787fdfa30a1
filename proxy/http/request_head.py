"""The head of a request, as a value and as it stands on the wire."""

from collections.abc import Hashable
from dataclasses import dataclass

RawHeaders = list[tuple[bytes, bytes]]
Key = tuple[Hashable, bytes, bytes]


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


def encoded_head(method: bytes, target: bytes, version: str, headers: RawHeaders) -> bytes:
    """Return a head as it stands on the wire."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode()), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b"", b""])
