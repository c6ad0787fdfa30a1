"""Responses whose work is done on the event loop, not on the view's thread."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.exchange.request import RequestBody
from proxy.http.headers import Headers
from proxy.stream.relay import Client

JSON = ("content-type", "application/json")


class Performed(Protocol):
    """Work that a view returns in place of an answer; every server adapter performs it on an event loop."""

    def is_current(self) -> bool:
        """Return whether the same request would be decided the same now."""

    async def perform(self, body: RequestBody, client: Client) -> None:
        """Serve one client; its disconnection cancels this."""


@dataclass(frozen=True)
class OnLoop:
    """Await a coroutine on the loop, and answer with its status and JSON value."""

    work: Callable[[], Awaitable[tuple[int, Any]]]

    def is_current(self) -> bool:
        """Return False: each request is decided again."""
        return False

    async def perform(self, body: RequestBody, client: Client) -> None:  # noqa: ARG002  an exchange's signature
        """Do it."""
        status, value = await self.work()
        told = json.dumps(value).encode()
        await client.whole(status, Headers([JSON, ("content-length", str(len(told)))]), told)
