"""The proxy as an ASGI application, for any server that runs one: `uvicorn proxy.web.asgi:app --workers 2`.

Importing it has no effect: each process assembles its parts when its server starts, or at the first request if the
server sends no lifespan events. An error then is the answer to that request, and the next request tries again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.request import RequestRefused, WebSocketUnsupported
from proxy.flow.flow import Flow
from proxy.http.request_head import IncomingHead
from proxy.lifespan import running, warm_up
from proxy.logs.log import Log, log_to_stderr
from proxy.server.decisions import Decisions, Endpoints
from proxy.services import Services, assemble
from proxy.web.app import create_app
from proxy.web.asgi_body import AsgiBody, Receive
from proxy.web.asgi_client import AsgiClient, Outbox, Send
from proxy.web.asgi_socket import SocketClient

WARM_UP_S = 10.0  # a start waits no longer for the SDK and the tools: a slow tool must not keep the proxy from serving
FAREWELL_S = 2.0  # how long a cancelled request may take to tell its client
USUAL_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

Scope = dict[str, Any]
Work = Coroutine[Any, Any, None]

log = logging.getLogger(__name__)


class AnswerCut(Exception):
    """The answer broke off; raising it is the only way in ASGI to have the server cut the connection."""


@dataclass(frozen=True)
class Assembled:
    """The parts with which a process answers requests."""

    services: Services
    decisions: Decisions


class AsgiApp:
    """Answer the requests of one event loop. Views run on it, for they do not wait; no stream holds a thread."""

    def __init__(self, assembled: Callable[[], Services] = assemble) -> None:
        self._assembled = assembled
        self._parts: Assembled | None = None
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._log: Log | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope of ASGI 3."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._tunnel(scope, receive, send)
        else:
            raise NotImplementedError(f"a scope of the type {scope['type']!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server, and report a failed start to it."""
        await receive()
        try:
            parts = await self.start()
            warming = asyncio.create_task(warm_up(parts.services.router, parts.services.tools))
            self._stack.callback(warming.cancel)
            await asyncio.wait([warming], timeout=WARM_UP_S)
            if warming.done():
                warming.result()
        except Exception as error:
            await self.stop()
            if not isinstance(error, ProxyError):
                log.exception("the proxy cannot start")
            await send({"type": "lifespan.startup.failed", "message": told(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self.stop()
        except Exception as error:
            log.exception("the proxy did not stop as it should")
            await send({"type": "lifespan.shutdown.failed", "message": told(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> Assembled:
        """Return the parts, assembled by the first call; raises SettingError."""
        async with self._starting:
            if self._parts is None:
                self._log = self._log or log_to_stderr()
                services = self._assembled()
                if self._log is not None:
                    self._log.hide(services.every_secret)
                    services.follow_log_level()
                services.load_keys()
                decisions = Decisions(create_app(services))
                self._stack.callback(services.observers.stop)
                await self._stack.enter_async_context(running(services))
                self._stack.push_async_callback(asyncio.to_thread, services.settings_follower.stop)
                await asyncio.to_thread(services.settings_follower.start)
                self._parts = Assembled(services, decisions)
            return self._parts

    async def stop(self) -> None:
        """Close the connections to upstreams, and stop the tools; a second call does nothing."""
        self._parts = None
        await self._stack.aclose()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        head, endpoints = head_of(scope), endpoints_of(scope)
        client, body = AsgiClient(Outbox(), head), AsgiBody(head)
        await serve(lambda: self._perform(head, endpoints, body, client), body.follow(receive), client, send)

    async def _tunnel(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Join a WebSocket with one to the upstream, once Flask has admitted it."""
        client = SocketClient(Outbox(), scope, head_of(scope))
        await receive()  # websocket.connect
        head, endpoints, body = client.handshake, endpoints_of(scope), AsgiBody(client.handshake)
        await serve(lambda: self._perform(head, endpoints, body, client), client.follow(receive), client, send)

    async def _perform(self, head: IncomingHead, endpoints: Endpoints, body: AsgiBody, client: AsgiClient) -> None:
        """Let Flask decide, then perform the exchange it returned, or send its own answer."""
        parts = self._parts or await self.start()
        try:
            if isinstance(client, SocketClient):
                check_frames_are_read()
            decision = parts.decisions.about(head, endpoints)
            client.added_headers = decision.headers
            if decision.exchange is None:
                await client.whole(decision.status, [], decision.body)
            else:
                await body.settle_length()
                await decision.exchange.perform(body, client)
        except RequestRefused as error:  # its body cannot be read; an exchange answers for what it finds itself
            parts.services.observers.refuse(Flow(head.method, head.path.decode("latin-1")), error)
            raise


async def serve(work: Callable[[], Work], watch: Work, client: AsgiClient, send: Send) -> None:
    """Serve one request and send its messages; `watch` returns when the client disconnects, which cancels the work.

    However the work ends, the client is told. Raises AnswerCut where the server is to cut the connection.
    """
    outbox, working, watching = client.outbox, asyncio.create_task(answered(work, client)), asyncio.create_task(watch)

    def leave(watching: "asyncio.Task[None]") -> None:
        if watching.cancelled():  # the answer has ended
            return
        error = watching.exception() if watching.done() else None
        if error is not None:
            log.error("what a client sends was not understood", exc_info=error)
        client.is_gone = True
        if error is not None or not client.has_ended:
            outbox.drop()
            outbox.close()
            working.cancel()

    working.add_done_callback(lambda _: outbox.close())
    watching.add_done_callback(leave)
    try:
        await outbox.deliver(send)
    except OSError:  # a server may say in this way that the client has left
        leave(watching)
        await asyncio.wait([working], timeout=FAREWELL_S)
    except asyncio.CancelledError:  # the server stops
        if outbox.is_behind:  # nobody knows whether what was being sent has gone out
            client.abort()
        working.cancel()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(outbox.deliver(send), FAREWELL_S)
        raise
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait([working, watching])
    if client.is_cut and not client.is_gone:
        raise AnswerCut("the answer broke off: the connection is cut, so that nobody takes it for complete")


async def answered(work: Callable[[], Work], client: AsgiClient) -> None:
    """Do the work; an error is sent to the client."""
    try:
        await work()
    except ProxyError as error:
        await client.refuse(error)
    except asyncio.CancelledError:  # the client is gone, or the server stops
        await client.stop()
    except Exception:
        log.exception("a request failed")
        await client.refuse(ServerFault())


def check_frames_are_read() -> None:
    """Raise WebSocketUnsupported where the package that reads frames, no dependency of the proxy's, is missing."""
    if find_spec("websockets") is None:
        raise WebSocketUnsupported("the Python package websockets is not installed")


def told(error: Exception) -> str:
    """Return the reason of a failed start, for the server's log."""
    return str(error) or type(error).__name__


def head_of(scope: Scope) -> IncomingHead:
    """Return the complete head of a request, with the path below the server's root path."""
    path, root = scope.get("raw_path") or quote(scope["path"]).encode(), scope.get("root_path", "").encode()
    return IncomingHead(
        method=scope.get("method", "GET"),
        path=path.removeprefix(root) if path.startswith(root + b"/") else path,
        query=scope.get("query_string", b""),
        version=scope.get("http_version", "1.1"),
        headers=[(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]],
    )


def endpoints_of(scope: Scope) -> Endpoints:
    """Return the two ends; a WebSocket is one of HTTP's connections."""
    scheme: str = scope.get("scheme", "http")
    host, port = scope.get("server") or ("", None)
    port = USUAL_PORTS.get(scheme) if port is None else port  # none: it listens at a Unix socket
    return Endpoints({"ws": "http", "wss": "https"}.get(scheme, scheme), (host, port), scope.get("client"))


app = AsgiApp()
