"""The demo's side of ASGI: read a request whole, send a document or a paced stream.

Nothing here knows OpenAI. A client who leaves ends a stream at once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT_BYTES = 64 * 2**20


class ClientGone(Exception):
    """The client left before its request was complete."""


class BodyTooLarge(Exception):
    """The request body is larger than the demo reads."""


@dataclass(frozen=True)
class Request:
    """A request, read whole; `target_id` is what stood for `{id}` in the route."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target_id: str = ""


@dataclass(frozen=True)
class Document:
    """An answer that is sent at once."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True)
class EventStream:
    """An answer that is sent event by event."""

    events: Iterable[bytes]


Reply = Document | EventStream


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read a request; raise BodyTooLarge or ClientGone."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
    return Request(scope["method"], scope["path"], query, headers, await _read_body(receive))


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        if not message.get("more_body"):
            return bytes(body)


async def send_document(send: Send, document: Document, headers: list[tuple[str, str]], *, head_only: bool) -> None:
    """Send a document, or for HEAD only what would stand above it."""
    framing = [("content-type", document.content_type), ("content-length", str(len(document.body)))]
    await send(_start(document.status, [*framing, *headers]))
    await send({"type": "http.response.body", "body": b"" if head_only else document.body})


async def send_stream(
    receive: Receive, send: Send, stream: EventStream, headers: list[tuple[str, str]], *, pace_s: float
) -> None:
    """Send events with a pause before each, until they or the client's patience end."""
    framing = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await send(_start(200, [*framing, *headers]))
        for event in stream.events:
            await asyncio.wait({gone}, timeout=pace_s)
            if gone.done():
                return
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(status: int, headers: list[tuple[str, str]]) -> Message:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": pairs}
