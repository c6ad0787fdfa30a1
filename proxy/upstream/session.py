"""The connections to the upstream: pools, TLS, and what a broken connection tells."""

import asyncio
import ssl
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import httpx2
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from proxy.errors import SettingError
from proxy.upstream.errors import BrokenOff
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions

IDLE_CONNECTION_S = 30.0
LONGEST_HEADER_BYTES = 65_536
MOST_HEADERS = 1_000


class Pool(aiohttp.TCPConnector):
    """A connection pool that knows which requests went out on a connection that had carried one before."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self.reusing: WeakSet[aiohttp.ClientRequest] = WeakSet()
        self.carriers: WeakKeyDictionary[aiohttp.ClientRequest, asyncio.Transport] = WeakKeyDictionary()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Connect as usual, and note whether the connection is a reused one."""
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if connection.transport is not None:
            self.carriers[req] = connection.transport
        if protocol in self._used:
            self.reusing.add(req)
        elif protocol is not None:
            self._used.add(protocol)
            if protocol.closed is not None:
                protocol.closed.add_done_callback(take_note)
        return connection


def take_note(closed: "asyncio.Future[None]") -> None:
    """Look at how a connection ended, or asyncio would log that nobody did; who was reading it knows already."""
    if not closed.cancelled():
        closed.exception()


def open_session(options: UpstreamOptions, context: ssl.SSLContext, *, reuse: bool) -> aiohttp.ClientSession:
    """Open a session without cookies, redirects of its own or a limit of connections; call it on the event loop."""
    lifetime: dict[str, Any] = {"keepalive_timeout": IDLE_CONNECTION_S} if reuse else {"force_close": True}
    pool = Pool(ssl=context, limit=0, **lifetime)
    return aiohttp.ClientSession(
        connector=pool,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=CONNECT_LIMIT_S, sock_connect=CONNECT_LIMIT_S, sock_read=options.timeout_s
        ),
        proxy=options.http_proxy,
        max_line_size=LONGEST_HEADER_BYTES,
        max_field_size=LONGEST_HEADER_BYTES,
        max_headers=MOST_HEADERS,
        middlewares=(partial(tell_reuse, pool),),
    )


async def tell_reuse(
    pool: Pool, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send once, and say of a connection that broke off whether it was a reused one that had died meanwhile."""
    try:
        return await send(request)
    except (aiohttp.ServerTimeoutError, aiohttp.ClientConnectorError):
        raise
    except asyncio.CancelledError:
        # Closing would wait until the upstream has taken what is written; who has left waits for nothing.
        if (carrier := pool.carriers.get(request)) is not None:
            carrier.abort()
        raise
    except aiohttp.ServerDisconnectedError as error:
        began = not isinstance(error.message, str)  # else it is what had come of the head
        raise BrokenOff("within its head" if began else "", stale=request in pool.reusing and not began) from error
    except aiohttp.ClientOSError as error:
        raise BrokenOff(str(error), stale=request in pool.reusing) from error


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
