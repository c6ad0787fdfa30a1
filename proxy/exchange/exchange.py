"""One request on its way: ask the upstream, copy the answer, close once, tell the log once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from proxy.errors import ProxyError, ServerFault, UpstreamFailure, UpstreamTlsFailure, UpstreamUnexpectedStatus
from proxy.exchange.answers import WholeAnswer
from proxy.exchange.call import Call, RequestBody
from proxy.exchange.inflight import InFlight
from proxy.stream.relay import Answer, Client, relay

Opener = Callable[[Call, RequestBody], Awaitable[Answer]]

log = logging.getLogger(__name__)


class Exchange:
    """What a view returns in place of an answer. `perform` runs it, on the event loop."""

    def __init__(self, call: Call, open_answer: Opener, in_flight: InFlight) -> None:
        self.call = call
        self._open_answer = open_answer
        self._in_flight = in_flight

    async def perform(self, body: RequestBody, client: Client) -> None:
        """Serve the client. Its leaving arrives as cancellation and closes the upstream at once, in any phase."""
        with self._in_flight.one_more():
            await self._perform(body, client)

    async def _perform(self, body: RequestBody, client: Client) -> None:
        began = time.monotonic()
        try:
            answer = await self._open_answer(self.call, body)
        except ProxyError as error:
            log.log(severity(error.status, error), "%s %s", self.call.request_id, error)
            answer = WholeAnswer.of(error, self.call.request_id)
        except Exception:
            log.exception("%s failed", self.call.request_id)
            answer = WholeAnswer.of(ServerFault(), self.call.request_id)
        except asyncio.CancelledError:
            self._tell(began, "the client left before the answer")
            raise
        try:
            failure = await relay(answer, client)
            self._tell(began, f"{answer.status} {failure or ''}", severity(answer.status, failure))
        except asyncio.CancelledError:
            self._tell(began, f"{answer.status} the client left")
            raise
        finally:
            answer.close()

    def _tell(self, began: float, outcome: str, level: int = logging.INFO) -> None:
        call = self.call
        seconds = time.monotonic() - began
        name = f" [{call.caller.key_name}]" if call.caller.key_name else ""
        log.log(level, "%s%s %s %s %.3f s %s", call.request_id, name, call.method, call.path, seconds, outcome)


def severity(status: int, failure: ProxyError | None) -> int:
    """Return the log level of an answer: what the caller did wrong is no warning; what the user must mend is loud."""
    if isinstance(failure, (UpstreamTlsFailure, UpstreamUnexpectedStatus)) or status in (401, 403):
        return logging.ERROR
    return logging.WARNING if isinstance(failure, UpstreamFailure) or status == 429 or status >= 500 else logging.INFO
