"""The HTTP client's session: its pool of connections and TLS, and what a broken connection tells."""

import asyncio
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohttp
import httpx2
from aiohttp.connector import Connection

from proxy.errors.configuration import SettingError
from proxy.settings.certificates import trusting
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.errors import BrokenOff
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions

IDLE_CONNECTION_S = 30.0
MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 256


class SentRequest(aiohttp.ClientRequest):
    """A request that knows the connection it went out on, also once the client has let go of it."""

    transport: asyncio.Transport | None = None
    protocol: UpstreamConnection | None = None
    reused = False

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send as usual, and note the connection."""
        self.transport = conn.transport
        if isinstance(conn.protocol, UpstreamConnection):
            self.protocol, self.reused = conn.protocol, conn.protocol.is_used_again()
        return await super().send(conn)


def open_session(
    options: UpstreamOptions,
    context: ssl.SSLContext,
    *,
    reuse: bool,
    proxy: str | None = None,
    before: Sequence[aiohttp.ClientMiddlewareType] = (),
) -> aiohttp.ClientSession:
    """Open a session without cookies, redirects of its own or a limit of connections; call it on the event loop.

    `proxy`: the address of the network's proxy; `before`: middlewares that stand before our own.
    """
    lifetime: dict[str, Any] = {"keepalive_timeout": IDLE_CONNECTION_S} if reuse else {"force_close": True}
    pool = aiohttp.TCPConnector(ssl=context, limit=0, **lifetime)
    # The pool takes the class of its connections only through this attribute; a contract test watches it.
    pool._factory = partial(UpstreamConnection, asyncio.get_running_loop())  # type: ignore[assignment]  # a subclass  # noqa: SLF001  as above
    return aiohttp.ClientSession(
        connector=pool,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=time_limits(options),
        proxy=proxy,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
        request_class=SentRequest,
        middlewares=(*before, mark_stale),
    )


def time_limits(options: UpstreamOptions) -> aiohttp.ClientTimeout:
    """Return how long a connection may take to be made, and how long it may then stay silent."""
    return aiohttp.ClientTimeout(
        total=None, connect=CONNECT_LIMIT_S, sock_connect=CONNECT_LIMIT_S, sock_read=options.timeout_s
    )


async def mark_stale(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
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
        has_begun = request.protocol is not None and request.protocol.has_begun
        raise broken_off(error, reused=request.reused, has_begun=has_begun) from error


def broken_off(
    error: aiohttp.ServerDisconnectedError | aiohttp.ClientOSError, *, reused: bool, has_begun: bool
) -> BrokenOff:
    """Return what a connection's end says: no byte had come on a reused one, so it had died meanwhile."""
    how = str(error) if isinstance(error, aiohttp.ClientOSError) else "within its head" if has_begun else ""
    return BrokenOff(how, stale=reused and not has_begun)


def tls_context(options: UpstreamOptions) -> ssl.SSLContext:
    """Return the context that verifies the upstream; raises SettingError for an unusable certificate file.

    Without a file of the user's own the SDK's HTTP client decides: SSL_CERT_FILE, else the system's trust store.
    """
    if options.ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return trusting(options.ca_file)
    except ValueError as error:
        raise SettingError(f"OPENAI_CA_FILE {options.ca_file!r} cannot be used ({error})") from error
