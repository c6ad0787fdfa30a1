"""The bridge between Flask and the event loop: Flask decides, the loop performs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import RequestRefused
from proxy.server.client import DownstreamClient
from proxy.server.decisions import Decision, Decisions, Exchange, WsgiApp

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
        decision: Decision | None = client.kept
        if decision is None or not decision.holds():
            if self._in_worker and unquote_to_bytes(client.head.path).lstrip(b"/").startswith(self._in_worker):
                return self._serve_in_worker(client)
            try:
                decision = self._decisions.about(client.head, client.endpoints)
            except Exception:
                log.exception("a request failed")
                client.fail()
                return None
        if decision.exchange is not None:
            client.added_headers = decision.headers
            return self._perform(decision.exchange, client)
        give(decision, client)
        return None

    async def _serve_in_worker(self, client: DownstreamClient) -> None:
        try:
            form = await client.body.read(FORM_LIMIT_BYTES)
            decision = await asyncio.to_thread(Decision().decide, self._app, client.head, client.endpoints, form)
            give(decision, client)
        except RequestRefused as error:
            self._refuse(client, error)
        except asyncio.CancelledError:
            client.stop()
        except Exception:
            log.exception("a request failed")
            client.fail()

    async def _perform(self, exchange: Exchange, client: DownstreamClient) -> None:
        try:
            await exchange.perform(client.body, client)
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
    """Answer with what the app itself has said."""
    client.added_headers = decision.headers
    try:
        client.answer(decision.status, [], decision.body)
    except ValueError:
        log.exception("a request failed")
        client.added_headers = []
        client.fail()
