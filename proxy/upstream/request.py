"""What the upstream is asked: one value, complete before anything is sent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

Headers = list[tuple[str, str]]  # names in lower case; values as ASCII or UTF-8 text


@dataclass(frozen=True)
class UpstreamRequest:
    """Path and query as the client encoded them, headers already chosen."""

    method: str
    path: str  # below the base URL, beginning with a slash
    query: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None
    body_length: int | None  # in bytes, where it is known
