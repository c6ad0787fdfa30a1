"""What is said to the upstream and what it says back. Imports nothing heavy: everybody may name these."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

Headers = list[tuple[str, str]]  # names in lower case; values as ASCII or UTF-8 text


@dataclass(frozen=True)
class UpstreamRequest:
    """What to ask: path and query as the client encoded them, headers already chosen."""

    method: str
    path: str  # below the base URL, beginning with a slash
    query: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None
    body_length: int | None  # in bytes, where it is known


class UpstreamAnswer(Protocol):
    """An answer whose status is known and whose body is taken chunk by chunk."""

    status: int
    headers: Headers

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure."""

    def close(self) -> None:
        """Let go of the upstream, at once where the body is unfinished; a second call does nothing."""


class UpstreamSocket(ABC):
    """A connection the upstream has let leave HTTP."""

    status = 101
    headers: Headers

    @abstractmethod
    def take_over(self) -> tuple[asyncio.Transport, bytes]:
        """Return the connection, for its new owner to read, and what has already arrived on it."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; a second call does nothing."""
