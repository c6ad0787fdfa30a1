"""What is sent to the upstream, and a connection it lets leave HTTP. It imports nothing heavy."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterable, Callable
from typing import NamedTuple

from proxy.http.answer import Answer
from proxy.http.headers import Headers


class UpstreamRequest(NamedTuple):
    """What to send: path and query as the client encoded them, headers already chosen."""

    method: str
    path: str  # below the base URL, beginning with a slash
    query: str
    headers: Headers
    body: bytes | AsyncIterable[bytes] | None
    length: int | None  # of the body in bytes, where it is known
    note_headers: Callable[[Headers], None] | None = None  # called with the headers as they are sent, the key in them


class UpstreamSocket(Answer):
    """A connection the upstream has let leave HTTP."""

    status = 101

    @abstractmethod
    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Return the connection, for its new owner to read, and what has already arrived on it."""
