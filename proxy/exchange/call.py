"""What a caller asked for, as the views hand it over."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from proxy.policy.access import Caller
from proxy.policy.headers import Headers


@dataclass(frozen=True)
class Call:
    """One request, without its body."""

    method: str
    path: str  # below the base URL, as the client encoded it
    query: str
    headers: Headers  # those that may go upstream
    caller: Caller
    request_id: str


class RequestBody(Protocol):
    """The body of a request, which may still be arriving."""

    length: int | None  # bytes, where the client said so; 0 when there is none

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""

    def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""
