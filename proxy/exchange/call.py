"""What a caller asked for, as the views hand it over."""

import itertools
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from proxy.policy.access import Caller
from proxy.policy.headers import Headers

RUN = secrets.token_hex(4)  # tells this run's ids from another's
NUMBERS = itertools.count(1)


def new_request_id() -> str:
    """Return an id no other request of any run has."""
    return f"proxy-{RUN}-{next(NUMBERS)}"


@dataclass(frozen=True)
class Call:
    """One request, without its body."""

    method: str
    path: str  # below the base URL, as the client encoded it
    query: str
    headers: Headers  # those that may go upstream
    caller: Caller
    request_id: str

    def again(self) -> "Call":
        """Return the call of another request with the same head."""
        return Call(self.method, self.path, self.query, self.headers, self.caller, new_request_id())


class RequestBody(Protocol):
    """The body of a request, which may still be arriving."""

    length: int | None  # bytes, where the client said so; 0 when there is none

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""

    def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""
