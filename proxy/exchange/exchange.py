"""One request served: open the answer, pass it on, close once, announce the end once."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.upstream import CancelledByUser, UpstreamFailure
from proxy.exchange.composition import Pipeline
from proxy.exchange.error_shapes import in_form_of
from proxy.exchange.request import Request, RequestBody, RequestHead
from proxy.flow.flow import Flow, Outcome, find_usage
from proxy.flow.observers import Observers
from proxy.http.answer import Answer, whole
from proxy.http.headers import Headers
from proxy.policy.access import Admission
from proxy.settings.store import SettingsStore
from proxy.stream.keep_alive import KeepAlive
from proxy.stream.relay import Client, relay

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exchange:
    """What a view returns in place of an answer; every server adapter performs it, on the event loop.

    It holds nothing of one request: for another with the same head it is performed again.
    """

    head: RequestHead
    pipeline: Pipeline
    observers: Observers
    store: SettingsStore
    admission: Admission | None = None  # None: the next request is decided anew

    def is_current(self) -> bool:
        """Tell whether what let this request in would let the same one in now."""
        admission = self.admission
        return (
            admission is not None
            and admission.store.in_force is admission.in_force
            and admission.proxy_keys.made is admission.keys_made
        )

    def new_flow(self) -> Flow:
        """Return what is known of a request with this head before it is performed."""
        head = self.head
        return Flow(
            head.method,
            head.path,
            key_name=head.caller.key_name,
            is_own_key=head.caller.upstream_key is None,
            client=head.client,
        )

    async def perform(self, body: RequestBody, client: Client, flow: Flow | None = None) -> None:
        """Serve the client. Its leaving arrives as cancellation and closes the upstream at once, in any phase."""
        head, observers = self.head, self.observers
        flow = flow or self.new_flow()
        keep_alive = KeepAlive(client)
        answer: Answer | None = None
        observers.begin(flow)
        if flow.recorder is not None:
            flow.recorder.came(head.headers, head.query, head.received)
        try:
            answer, failure = await self._open(flow, body, keep_alive)
            flow.status = answer.status
            if answer.body is not None and not keep_alive.has_begun:
                if keep_alive.is_on:
                    keep_alive.stop()
                if flow.recorder is not None:
                    flow.recorder.answered(answer.headers)
                    flow.recorder.chunk(answer.body)
                flow.first_byte_s = time.monotonic() - flow.began
                flow.bytes_down = len(answer.body)
                await client.whole(answer.status, answer.headers, answer.body)
                failure = answer.failure or failure
            else:
                failure = await self._deliver(answer, client, keep_alive, flow) or failure
            flow.status = answer.status  # a later round of tools may have had another
            usage = answer.usage
            if usage is None and answer.body is not None:
                usage = find_usage(answer.body)
            if keep_alive.was_silent:
                flow.note_fault("silent")
            observers.end(flow, failure, usage=usage)
        except asyncio.CancelledError:
            if keep_alive.was_silent:
                flow.note_fault("silent")
            outcome = Outcome.CANCELLED if client.is_gone or flow.is_cancelled else Outcome.STOPPED
            observers.end(flow, outcome=outcome, usage=answer.usage if answer else None)
            raise
        finally:
            if keep_alive.is_on:
                keep_alive.stop()
            if answer is not None and answer.body is None:
                answer.close()
            if flow.outcome is None:  # passing the answer on has failed
                observers.end(flow, ServerFault())

    async def _open(self, flow: Flow, body: RequestBody, keep_alive: KeepAlive) -> tuple[Answer, ProxyError | None]:
        """Return the answer, or in its place what the client is told of the error, and that error."""
        request = Request(
            head=self.head,
            headers=self.head.headers,
            settings=self.store.in_force.settings,
            incoming=body,
            keep_alive=keep_alive,
        )
        error: ProxyError
        try:
            return await self.pipeline.open(flow, request), None
        except ProxyError as refused:
            error = refused
        except asyncio.CancelledError:
            if not flow.is_cancelled:  # the client is gone, or the program stops
                raise
            error = CancelledByUser()
        except Exception:
            log.exception("%s failed", flow.id)
            error = ServerFault()
        told = in_form_of(self.head.path, error.status, error.body())
        return whole(error.status, Headers((*error.headers(), ("x-request-id", flow.id))), told), error

    async def _deliver(self, answer: Answer, client: Any, keep_alive: KeepAlive, flow: Flow) -> UpstreamFailure | None:
        """Pass an answer on that is not whole, or comes after its beginning; return what broke it off."""
        if flow.recorder is not None:
            flow.recorder.answered(answer.headers)
        return await relay(answer, client, keep_alive, flow, self.observers)
