"""What a view returns in place of an answer where the rest is the event loop's work, not a worker thread's."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.exchange.request import RequestBody
from proxy.http.headers import Headers
from proxy.stream.relay import Client

JSON = ("content-type", "application/json")


class Performed(Protocol):
    """What a view may return in place of an answer; every server adapter performs it, on an event loop."""

    def is_current(self) -> bool:
        """Tell whether the same request would be given the same now."""

    async def perform(self, body: RequestBody, client: Client) -> None:
        """Serve one client; its leaving cancels this."""


@dataclass(frozen=True)
class OnLoop:
    """Await something on the loop, and answer with its status and JSON value."""

    work: Callable[[], Awaitable[tuple[int, Any]]]

    def is_current(self) -> bool:
        """Say that each request is decided anew."""
        return False

    async def perform(self, body: RequestBody, client: Client) -> None:  # noqa: ARG002  an exchange's signature
        """Do it."""
        status, value = await self.work()
        told = json.dumps(value).encode()
        await client.whole(status, Headers([JSON, ("content-length", str(len(told)))]), told)
