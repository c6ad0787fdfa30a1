"""Send a recent request again, through the whole pipeline and as a request of its own. On the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from proxy.capture.record import Record
from proxy.errors.request import CannotSendAgain
from proxy.exchange.composition import Pipeline
from proxy.exchange.exchange import Exchange
from proxy.exchange.request import Kind, RequestBody, RequestHead
from proxy.flow.observers import Observers
from proxy.http.headers import Headers
from proxy.policy.access import Caller
from proxy.policy.body import rewrite
from proxy.policy.endpoints import json_endpoint
from proxy.settings.store import SettingsStore
from proxy.stream.relay import Client

CLIENT = "dashboard"


class HeldBody:
    """A request body that is in memory already."""

    whole: bytes | None = None

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length: int | None = len(body)

    async def read(self, limit_bytes: int) -> bytes:  # noqa: ARG002  it was within the limit when it came
        """Return it."""
        return self._body

    async def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:  # noqa: ARG002  as above
        """Yield it."""
        yield self._body


class NoClient:
    """A client that discards the answer; only the capture keeps it."""

    is_behind = False
    is_gone = False

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Take it."""

    async def start(self, status: int, headers: Headers) -> None:
        """Take it."""

    def forbid_retry(self) -> None:
        """Nobody asks again by itself."""

    async def write(self, data: bytes) -> None:
        """Take it."""

    async def finish(self) -> None:
        """Take it."""

    def abort(self) -> None:
        """There is no connection to cut."""


def sender(
    pipelines: Mapping[Kind, Pipeline], observers: Observers, store: SettingsStore
) -> Callable[[Record, str | None, str | None], str]:
    """Return a coroutine function that sends a record's request again and returns the new request's id."""
    running: set[asyncio.Task[None]] = set()  # the loop itself holds its tasks but weakly

    def send_again(record: Record, upstream: str | None, model: str | None) -> str:
        head, body = head_of(record, upstream), record.body
        if body is None:
            raise CannotSendAgain("its body is no longer held")
        if model is not None:
            body = rewrite(body, {"model": model})
        exchange = Exchange(head, pipelines[head.kind], observers, store)
        flow = exchange.new_flow()
        task = asyncio.get_running_loop().create_task(exchange.perform(HeldBody(body), NoClient(), flow))
        running.add(task)
        task.add_done_callback(running.discard)
        return flow.id

    return send_again


@dataclass(frozen=True)
class Composed:
    """A request that the dashboard sends with a body made here; the page gets the answer."""

    exchange: Exchange
    body: bytes

    def is_current(self) -> bool:
        """Return False: each request is decided again."""
        return False

    async def perform(self, body: RequestBody, client: Client) -> None:  # noqa: ARG002  an exchange's signature
        """Serve the page."""
        await self.exchange.perform(HeldBody(self.body), client)


def chatter(
    pipelines: Mapping[Kind, Pipeline], observers: Observers, store: SettingsStore
) -> Callable[[bytes], Composed]:
    """Return a function that makes an exchange from a chat's body."""

    def chat(body: bytes) -> Composed:
        head = RequestHead(
            kind="json",
            method="POST",
            path="/chat/completions",
            query="",
            headers=Headers([("content-type", "application/json")]),
            caller=Caller(),
            client=CLIENT,
            wants_json=True,
        )
        return Composed(Exchange(head, pipelines[head.kind], observers, store), body)

    return chat


def head_of(record: Record, upstream: str | None) -> RequestHead:
    """Return the head of the new request; raises CannotSendAgain."""
    flow = record.flow
    if not record.is_captured:
        raise CannotSendAgain("its body is no longer held")
    if not flow.is_own_key:
        raise CannotSendAgain("it came with a key of its client's, which the proxy does not keep")
    is_json = flow.method == "POST" and json_endpoint(flow.path) is not None
    headers = record.headers.without("content-encoding") if is_json else record.headers
    return RequestHead(
        kind="json" if is_json else "relay",
        method=flow.method,
        path=flow.path,
        query=record.query,
        headers=headers,
        caller=replace(Caller(), key_name=flow.key_name),
        client=CLIENT,
        upstream=upstream,
        wants_json=is_json,
    )
