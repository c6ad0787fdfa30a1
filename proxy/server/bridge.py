"""The bridge between Flask and the event loop: Flask decides, the loop performs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import RequestRefused
from proxy.server.client import DownstreamClient
from proxy.server.decisions import Decision, Decisions, WsgiApp

NoteRefusal = Callable[[str, str, ProxyError], object]  # method and path as far as they have come, and the error
Work = Coroutine[Any, Any, None]

FORM_LIMIT_BYTES = 65_536

log = logging.getLogger(__name__)


class Bridge:
    """Run the Flask app for each request; where its answer carries an exchange, perform that.

    The app runs on the loop, for its views do not wait; the views of paths that begin with one of
    `in_worker` do: they are given the body and run in a worker thread.
    """

    def __init__(
        self, app: WsgiApp, in_worker: Sequence[str] = (), note_refusal: NoteRefusal = lambda *_: None
    ) -> None:
        self._app = app
        self._decisions = Decisions(app)
        self._in_worker = tuple(path.encode() for path in in_worker)
        self._note_refusal = note_refusal
        self.known = self._decisions.kept

    def serve(self, client: DownstreamClient) -> Work | None:
        """Answer a request, or return what performs its exchange; the client's leaving cancels that."""
        if client.kept is not None:
            return self._perform(client.kept, client)
        if self._in_worker and unquote_to_bytes(client.head.path).lstrip(b"/").startswith(self._in_worker):
            return self._serve_in_worker(client)
        try:
            decision = self._decisions.about(client.head, client.endpoints)
            if decision.exchange is not None:
                return self._perform(decision, client)
            give(decision, client)
        except Exception:
            log.exception("a request failed")
            client.fail()
        return None

    async def _serve_in_worker(self, client: DownstreamClient) -> None:
        try:
            form = await client.body.read(FORM_LIMIT_BYTES)
            decision = await asyncio.to_thread(Decision(client.head).decide, self._app, client.endpoints, form)
            if decision.exchange is None:
                give(decision, client)
            else:  # a view may leave the rest to the loop
                client.added_headers = decision.headers
                await decision.exchange.perform(client.body, client)
        except RequestRefused as error:
            self._refuse(client, error)
        except asyncio.CancelledError:
            client.stop()
        except Exception:
            log.exception("a request failed")
            client.fail()

    async def _perform(self, decision: Decision, client: DownstreamClient) -> None:
        try:
            if client.kept is not None and not (decision.exchange is not None and decision.exchange.is_current()):
                decision = self._decisions.about(client.head, client.endpoints)
            if decision.exchange is None:
                give(decision, client)
                return
            client.added_headers = decision.headers
            await decision.exchange.perform(client.body, client)
        except RequestRefused as error:  # its body cannot be read; an exchange answers for what it finds itself
            self._refuse(client, error)
        except asyncio.CancelledError:  # the client is gone, or its grace at the program's end is over
            client.stop()
        except Exception:
            log.exception("a request failed")
            client.fail()

    def _refuse(self, client: DownstreamClient, error: RequestRefused) -> None:
        self._note_refusal(client.head.method, client.head.path.decode("latin-1"), error)
        client.refuse(error)


def give(decision: Decision, client: DownstreamClient) -> None:
    """Answer with what the app itself has said; raises ValueError for headers that are none."""
    client.answer(decision.status, decision.headers, decision.body)
