"""The connections to the upstream: the HTTP client's session, its pool and TLS, and what a broken connection tells."""

import asyncio
import ssl
from functools import partial
from typing import Any

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpParser

from proxy.batching import BatchedTransport
from proxy.errors import SettingError
from proxy.upstream.errors import BrokenOff
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions
from proxy.upstream.surplus import HeadParser

IDLE_CONNECTION_S = 30.0
LONGEST_HEADER_BYTES = 65_536
MOST_HEADERS = 1_000
CLOCK_S = 0.001  # a timer may fire this much early


class UpstreamConnection(ResponseHandler):
    """One connection of the pool: it knows whether it was used before, and wakes who reads when it is lost.

    The client starts a new timer with every chunk that arrives. This one notes the time instead, and looks at that when
    its one timer runs out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._is_new = True
        self._silent_until: float | None = None
        self._look: asyncio.TimerHandle | None = None
        self._params: dict[str, Any] = {}  # of the answer under way

    def is_used_again(self) -> bool:
        """Take note of a use, and tell whether there was one before."""
        again, self._is_new = not self._is_new, False
        return again

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(BatchedTransport(transport))  # type: ignore[arg-type]  # it is one in all that matters

    def is_connected(self) -> bool:
        """Tell the pool whether another request may be sent: none where more than the last answer has come."""
        return super().is_connected() and not self._has_surplus()

    def _has_surplus(self) -> bool:
        try:
            return self.should_close or (self._parser is not None and self._parser.feed_eof() is not None)
        except HttpProcessingError:
            return True

    def set_response_params(self, **params: Any) -> None:
        """Expect an answer."""
        self._params = params
        self._parser = HeadParser(self, self.renew_parser())  # type: ignore[assignment]  # it is one in all that matters

    def renew_parser(self) -> HttpParser[Any]:
        """Return a new parser for the answer that is under way."""
        super().set_response_params(**self._params)
        assert self._parser is not None  # noqa: S101  it has just been made
        return self._parser

    def go_on(self, parser: HttpParser[Any]) -> None:
        """Give every later byte to this parser."""
        self._parser = parser

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the answer that was being read: after a broken chunk the client itself would leave its reader waiting."""
        payload = self._payload
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError("the connection ended within the answer"))

    def _reschedule_timeout(self) -> None:
        if not self._read_timeout:
            self._silent_until = None
            return
        self._silent_until = self._loop.time() + self._read_timeout
        if self._look is None:
            self._look = self._loop.call_later(self._read_timeout, self._look_at_time)

    def _drop_timeout(self) -> None:
        self._silent_until = None

    def _look_at_time(self) -> None:
        self._look = None
        if self._silent_until is None:
            return
        left_s = self._silent_until - self._loop.time()
        if left_s > CLOCK_S:
            self._look = self._loop.call_later(left_s, self._look_at_time)
        else:
            self._silent_until = None
            self._on_read_timeout()


class SentRequest(aiohttp.ClientRequest):
    """A request that knows the connection it went out on, also once the client has let go of it."""

    transport: asyncio.Transport | None = None
    reused = False

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send as usual, and note the connection."""
        self.transport = conn.transport
        if isinstance(conn.protocol, UpstreamConnection):
            self.reused = conn.protocol.is_used_again()
        return await super().send(conn)


def open_session(options: UpstreamOptions, context: ssl.SSLContext, *, reuse: bool) -> aiohttp.ClientSession:
    """Open a session without cookies, redirects of its own or a limit of connections; call it on the event loop."""
    lifetime: dict[str, Any] = {"keepalive_timeout": IDLE_CONNECTION_S} if reuse else {"force_close": True}
    pool = aiohttp.TCPConnector(ssl=context, limit=0, **lifetime)
    # The pool takes the class of its connections only through this attribute; a contract test watches it.
    pool._factory = partial(UpstreamConnection, asyncio.get_running_loop())  # type: ignore[assignment]  # a subclass
    return aiohttp.ClientSession(
        connector=pool,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=time_limits(options),
        proxy=options.http_proxy,
        max_line_size=LONGEST_HEADER_BYTES,
        max_field_size=LONGEST_HEADER_BYTES,
        max_headers=MOST_HEADERS,
        request_class=SentRequest,
        middlewares=(tell_reuse,),
    )


def time_limits(options: UpstreamOptions) -> aiohttp.ClientTimeout:
    """Return how long a connection may take to be made, and how long it may then stay silent."""
    return aiohttp.ClientTimeout(
        total=None, connect=CONNECT_LIMIT_S, sock_connect=CONNECT_LIMIT_S, sock_read=options.timeout_s
    )


async def tell_reuse(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send once, and say of a connection that broke off whether it was a reused one that had died meanwhile."""
    assert isinstance(request, SentRequest)  # noqa: S101  the session makes no others
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except asyncio.CancelledError:
        # Closing would wait until the upstream has taken what is written; who has left waits for nothing.
        if request.transport is not None:
            request.transport.abort()
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise broken_off(error, reused=request.reused) from error


def broken_off(error: aiohttp.ServerDisconnectedError | aiohttp.ClientOSError, *, reused: bool) -> BrokenOff:
    """Return what a connection's end says: no byte had come on a reused one, so it had died meanwhile."""
    if isinstance(error, aiohttp.ClientOSError):
        return BrokenOff(str(error), stale=reused)
    began = not isinstance(error.message, str)  # else it is what had come of the head
    return BrokenOff("within its head" if began else "", stale=reused and not began)


def tls_context(options: UpstreamOptions) -> ssl.SSLContext:
    """Return the context that verifies the upstream; raises SettingError for an unusable certificate file.

    Without a file of the user's own the SDK's HTTP client decides: SSL_CERT_FILE, else the system's trust store.
    """
    if options.ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"OPENAI_CA_FILE {options.ca_file!r} cannot be used ({error})") from error
