"""The head of a request, as a value and as it stands on the wire, and who hears of requests."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

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


class Receiver(Protocol):
    """Hear of the requests, once all of a packet was read that belongs to them."""

    def on_known(self, kept: Any, body: bytes) -> None:
        """Take a whole request with a head for which `known` has returned something."""

    def on_request(self, head: IncomingHead, body: bytes | None) -> None:
        """Take a request, or refuse it by raising; None: its body arrives by `on_body` and `on_end`."""

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""

    def on_end(self) -> None:
        """Take note that the body is complete."""

    def on_tunnelled(self, data: bytes) -> None:
        """Take what follows the handshake of a WebSocket."""


def encoded_head(method: bytes, target: bytes, version: str, headers: RawHeaders) -> bytes:
    """Return a head as it stands on the wire."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode()), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b"", b""])
