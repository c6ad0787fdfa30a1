"""One request on its way: ask the upstream, copy the answer, close once, tell the log once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.upstream import UpstreamFailure, UpstreamTlsFailure, UpstreamUnexpectedStatus
from proxy.exchange.answers import WholeAnswer
from proxy.exchange.call import Call, RequestBody
from proxy.exchange.inflight import InFlight
from proxy.stream.pulse import Pulse
from proxy.stream.relay import Answer, Client, relay
from proxy.usage.record import Finished, Usage

# Asks the upstream. It lets the pulse beat once it knows that the client waits for events.
Opener = Callable[[Call, RequestBody, Pulse], Awaitable[Answer]]

T = TypeVar("T")

log = logging.getLogger(__name__)


class Exchange:
    """What a view returns in place of an answer. `perform` runs it, on the event loop."""

    def __init__(self, call: Call, open_answer: Opener, in_flight: InFlight, holds: Callable[[], bool]) -> None:
        self.call = call
        self._open_answer = open_answer
        self._in_flight = in_flight
        self._holds = holds  # whether what let this request in would let the same one in now

    def again(self) -> "Exchange | None":
        """Return the exchange for another request with the same head, None where it must be decided anew."""
        if not self._holds():
            return None
        return Exchange(self.call.again(), self._open_answer, self._in_flight, self._holds)

    async def perform(self, body: RequestBody, client: Client) -> None:
        """Serve the client. Its leaving arrives as cancellation and closes the upstream at once, in any phase."""
        pulse = Pulse(client)
        with self._in_flight:
            try:
                await self._perform(body, client, pulse)
            finally:
                pulse.stop()

    async def _perform(self, body: RequestBody, client: Client, pulse: Pulse) -> None:
        began, call = time.monotonic(), self.call
        try:
            answer = await or_our_error(self._open_answer(call, body, pulse), call.request_id)
        except asyncio.CancelledError:
            self._tell(began, None, f"{ending_of(client)} before the answer")
            raise
        try:
            failure = await relay(answer, client, pulse)
            self._tell(began, answer.status, str(failure or ""), severity(answer.status, failure), answer.usage)
        except asyncio.CancelledError:
            self._tell(began, answer.status, ending_of(client), usage=answer.usage)
            raise
        finally:
            answer.close()

    def _tell(
        self,
        began: float,
        status: int | None,
        outcome: str,
        level: int = logging.INFO,
        usage: Mapping[str, Any] | None = None,
    ) -> None:
        call, seconds = self.call, time.monotonic() - began
        key, counted = call.caller.key_name, Usage.of(usage)
        finished = Finished(call.request_id, key, call.method, call.path, seconds, status, outcome, counted)
        log.log(level, "%s", finished)


def ending_of(client: Client) -> str:
    """Say why a request was cancelled."""
    return "the client left" if client.is_gone else "the proxy was stopped"


async def or_our_error(opening: Awaitable[T], request_id: str) -> T | Answer:
    """Return what was opened, or in its place what the client is told of the error."""
    try:
        return await opening
    except ProxyError as error:
        log.log(severity(error.status, error), "%s %s", request_id, error)
        return WholeAnswer.of(error, request_id)
    except Exception:
        log.exception("%s failed", request_id)
        return WholeAnswer.of(ServerFault(), request_id)


def severity(status: int, failure: ProxyError | None) -> int:
    """Return the log level of an answer: what the caller did wrong is no warning; what the user must mend is loud."""
    if isinstance(failure, (UpstreamTlsFailure, UpstreamUnexpectedStatus)) or status in (401, 403):
        return logging.ERROR
    return logging.WARNING if isinstance(failure, UpstreamFailure) or status == 429 or status >= 500 else logging.INFO
