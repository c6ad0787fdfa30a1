"""Send events about requests to open pages as server-sent events. On the event loop: no page holds a thread."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Blueprint, g

from proxy.capture import rows
from proxy.capture.feed import Happening, Page
from proxy.capture.hiding import hidden_json
from proxy.capture.record import Record
from proxy.exchange.request import RequestBody
from proxy.http.headers import Headers
from proxy.stream.relay import Client
from proxy.web.exchange_response import ExchangeResponse
from proxy.web.ui.dashboard import RequestParts
from proxy.web.ui.requests import capture_state, row_of
from proxy.web.ui.usage import limits_state

HEARTBEAT_S = 15.0  # a comment goes out after so much silence
PROGRESS_S = 0.15  # how often running requests tell how far they are
LOOK_S = 1.0  # how often an idle stream looks whether the server drains: it must not hold that up
RECONNECT_MS = 1_000
HEADERS = Headers([("content-type", "text/event-stream; charset=utf-8"), ("x-accel-buffering", "no")])
TOO_MANY = b'{"error": "Too many pages are open; close one."}'


def add_routes(pages: Blueprint, root: str, parts: RequestParts) -> None:
    """Add the route below a path; the blueprint guards it."""

    @pages.get(f"{root}/api/events")
    def events() -> ExchangeResponse:
        return ExchangeResponse(EventStream(parts, g.session.ends))


class PageClient(Client, Protocol):
    """A client on a connection that may be used again."""

    keeps_alive: bool  # False from when the server drains


@dataclass(frozen=True)
class EventStream:
    """Send events to one page until it disconnects or its session ends."""

    parts: RequestParts
    ends: float  # time.monotonic()

    def is_current(self) -> bool:
        """Return False: each request is decided again."""
        return False

    async def perform(self, body: RequestBody, client: Any) -> None:  # noqa: ARG002  an exchange's signature
        """Write events as they come; while a page does not read, this waits, and new events are lost."""
        feed = self.parts.capture.feed
        page = feed.open()
        if page is None:
            headers = Headers([("content-type", "application/json"), ("content-length", str(len(TOO_MANY)))])
            await client.whole(503, headers, TOO_MANY)
            return
        try:
            await client.start(200, HEADERS)
            await client.write(f"retry: {RECONNECT_MS}\n\n".encode() + event("capture", capture_state(self.parts)))
            await self._tell(page, client)
            await client.finish()
        finally:
            feed.close(page)

    async def _tell(self, page: Page, client: PageClient) -> None:
        told: dict[str, int] = {}  # bytes of the answer by running request, as the page knows them
        spoken, kept_alive = time.monotonic(), client.keeps_alive
        while (left_s := self.ends - time.monotonic()) > 0 and client.keeps_alive == kept_alive:
            await page.wait(min(left_s, PROGRESS_S if self._running() else LOOK_S))
            happenings, has_lost = page.take()
            said = event("lost", {}) if has_lost else b""
            if happenings:
                said += await asyncio.to_thread(self._written, happenings)
            said += progress(self._running(), told)
            if not said and time.monotonic() - spoken > HEARTBEAT_S:
                said = b": still here\n\n"
            if said:
                spoken = time.monotonic()
                await client.write(said)

    def _running(self) -> list[Record]:
        return [record for record in self.parts.capture.all() if record.flow.outcome is None]

    def _written(self, happenings: list[Happening]) -> bytes:
        """Return events with the current rows of their requests; on a worker thread."""
        return b"".join(
            raw_event(name, hidden_json(STATES[name](self.parts), self.parts.hide))
            if record is None
            else raw_event(name, hidden_json(row_of(record, self.parts), self.parts.hide))
            for name, record in happenings
        )


# What is told with an event that is of no request.
STATES: dict[str, Callable[[RequestParts], Any]] = {
    "capture": capture_state,
    "limits": lambda parts: limits_state(parts.spending),
}


def progress(running: list[Record], told: dict[str, int]) -> bytes:
    """Return an event with the progress of running answers, b"" if nothing has changed."""
    moved = [record.flow for record in running if told.get(record.flow.id) != record.flow.bytes_down]
    told.clear()
    told.update((record.flow.id, record.flow.bytes_down) for record in running)
    moved = [flow for flow in moved if flow.bytes_down]
    return event("progress", [rows.progress_of(flow) for flow in moved]) if moved else b""


def event(name: str, value: Any) -> bytes:
    """Return one event."""
    return raw_event(name, json.dumps(value))


def raw_event(name: str, data: str) -> bytes:
    """Return one event; JSON has no line break outside of its texts, where it is escaped."""
    return f"event: {name}\ndata: {data}\n\n".encode("utf-8", "replace")
