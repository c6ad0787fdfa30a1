"""Open a connection to an upstream: straight there, or through the network's proxy. What fails is told as ours."""

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from math import ceil

from aiohappyeyeballs import start_connection
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from proxy.errors.upstream import (
    NetworkProxyAuth,
    NetworkProxyRefused,
    NetworkProxyUnreachable,
    UpstreamDnsFailure,
    UpstreamFailure,
    UpstreamProtocolFailure,
    UpstreamUnreachable,
)
from proxy.http.batching import read_less_at_once
from proxy.http.response_reader import MalformedResponse, ResponseReader
from proxy.upstream.network_proxy import NO_ANSWER, NO_HTTP, NetworkProxy, passed_over
from proxy.upstream.options import CONNECT_LIMIT_S
from proxy.upstream.tls import TlsTransport, failure_of, start_tls

LOOK_EVERY_S = 0.25  # how often the time a connection takes is counted on; a busy loop is late for it
NEXT_ADDRESS_S = 0.25  # how long an address may take before the next one is tried beside it (RFC 8305)
# A peer that is gone without a word is noticed while an answer is waited for, and in what was sent to it.
OPTIONS = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPALIVE": 15,  # what macOS calls it
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 20_000,  # ms
}
KNOWN_OPTIONS = [(getattr(socket, name), value) for name, value in OPTIONS.items() if hasattr(socket, name)]
ERRNO = re.compile(r"\[Errno (-?\d+)\]")


@dataclass(frozen=True)
class Origin:
    """Where the upstream is."""

    host: str
    port: int
    is_tls: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Dialer:
    """Open connections to one upstream, all the same way. Lives on the event loop."""

    def __init__(self, origin: Origin, context: ssl.SSLContext, proxy: NetworkProxy | None) -> None:
        self.origin = origin
        self.proxy = proxy
        self._context = context
        self._session: ssl.SSLSession | None = None  # of the last connection that was used up

    @property
    def asks_proxy(self) -> bool:
        """Tell whether requests are sent to the network's proxy, which passes them on: it is who answers."""
        return self.proxy is not None and not self.proxy.is_socks and not self.origin.is_tls

    async def open(self) -> asyncio.Transport:
        """Return a connection, whose protocol is to be set; raises UpstreamFailure."""
        proxy = self.proxy
        opening = asyncio.ensure_future(self._open(proxy))
        opening.add_done_callback(note_failure)
        try:
            await wait_at_most(CONNECT_LIMIT_S, opening)
        except asyncio.CancelledError:
            # asyncio loses a socket whose address is connected just when it is told to stop: it may finish.
            opening.add_done_callback(close_unwanted)
            asyncio.get_running_loop().call_later(CONNECT_LIMIT_S, opening.cancel)
            raise
        if opening.done() and not isinstance(opening.exception(), ProxyTimeoutError):
            return opening.result()
        opening.cancel()
        if proxy is not None:
            failure: UpstreamFailure = NetworkProxyUnreachable(f"{proxy} opened no way to {self.origin} in time")
        else:
            failure = UpstreamUnreachable(f"{self.origin}: no connection within {CONNECT_LIMIT_S:.0f} s")
        failure.is_worth_retry = False  # it has taken its time
        raise failure

    def keep_session(self, transport: object) -> None:
        """Let the next handshake be shorter."""
        if isinstance(transport, TlsTransport):
            self._session = transport.session

    async def _open(self, proxy: NetworkProxy | None) -> asyncio.Transport:
        if proxy is None:
            transport = await self._reach(self.origin.host, self.origin.port)
        elif proxy.is_socks:
            transport = await self._through_socks(proxy)
        else:
            transport = await self._to_proxy(proxy)
            if self.origin.is_tls:
                await open_tunnel(transport, self.origin, proxy)
        set_options(transport)
        read_less_at_once(transport)
        return await self._secured(transport, proxy) if self.origin.is_tls else transport

    async def _reach(self, host: str, port: int) -> asyncio.Transport:
        try:
            return await connect(host, port)
        except (socket.gaierror, UnicodeError) as error:
            raise UpstreamDnsFailure(f"{self.origin}: {reason(error)}") from error
        except OSError as error:
            raise UpstreamUnreachable(f"{self.origin}: {reason(error)}{passed_over(host)}") from error

    async def _secured(self, transport: asyncio.Transport, proxy: NetworkProxy | None) -> asyncio.Transport:
        session, self._session = self._session, None  # a ticket is for one use (RFC 8446, C.4)
        try:
            return await start_tls(transport, self._context, self.origin.host.rstrip("."), session)
        except ssl.SSLError as error:
            if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) and proxy is None:
                raise UpstreamUnreachable(f"{self.origin}: the connection ended within the TLS handshake") from error
            raise failure_of(error) from error
        except (OSError, ValueError) as error:
            if proxy is not None:
                raise UpstreamProtocolFailure(f"the way through {proxy} ended within the TLS handshake") from error
            raise UpstreamUnreachable(f"{self.origin}: {reason(error)}") from error

    async def _to_proxy(self, proxy: NetworkProxy) -> asyncio.Transport:
        try:
            transport = await connect(proxy.host, proxy.port)
            return await start_tls(transport, self._context, proxy.host) if proxy.is_tls else transport
        except (OSError, UnicodeError) as error:  # ssl.SSLError is one
            raise NetworkProxyUnreachable(f"{proxy}: {reason(error)}") from error

    async def _through_socks(self, proxy: NetworkProxy) -> asyncio.Transport:
        kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
        user, password = proxy.login or (None, None)
        socks = Proxy(kind, proxy.host, proxy.port, user, password, rdns=proxy.scheme in ("socks4a", "socks5h"))
        try:
            return await transport_over(await socks.connect(self.origin.host, self.origin.port, CONNECT_LIMIT_S))
        except ProxyTimeoutError:
            raise
        except ProxyConnectionError as error:
            raise NetworkProxyUnreachable(f"{proxy}: {reason(error)}") from error
        except ProxyError as error:  # its words are the library's own
            if "authentication" in str(error):
                raise NetworkProxyAuth(f"{proxy}: {error}") from error
            raise NetworkProxyRefused(f"{proxy} as a SOCKS proxy: {error}") from error
        except (socket.gaierror, UnicodeError) as error:  # the upstream's name, which this kind looks up here
            raise UpstreamDnsFailure(f"{self.origin}: {reason(error)}") from error
        except (OSError, ValueError) as error:
            raise NetworkProxyRefused(f"{proxy} {NO_ANSWER}") from error


async def wait_at_most(limit_s: float, opening: "asyncio.Future[asyncio.Transport]") -> None:
    """Wait until it is done, or the seconds are over; those in which our own loop was busy count little.

    A connection may have been there all the while, and nobody has looked: two thousand streams that begin at once keep
    the loop from it for seconds, and would fail for a limit that is meant for the upstream.
    """
    for _ in range(ceil(limit_s / LOOK_EVERY_S)):
        await asyncio.wait([opening], timeout=LOOK_EVERY_S)
        if opening.done():
            return


def note_failure(opening: "asyncio.Future[asyncio.Transport]") -> None:
    """Look at how it ended, also where nobody waits any more: asyncio would log that nobody did."""
    if not opening.cancelled():
        opening.exception()


def close_unwanted(opening: "asyncio.Future[asyncio.Transport]") -> None:
    """Close a connection that nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()


async def connect(host: str, port: int) -> asyncio.Transport:
    """Return a connection to one of the addresses of a name, the first that answers; raises OSError, UnicodeError.

    The loops of other servers, uvloop among them, have no race of addresses of their own.
    """
    loop = asyncio.get_running_loop()
    if is_address(host):  # the race costs as much as the rest, with one runner too
        transport, _ = await loop.create_connection(Unexpected, host, port)
        return transport
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    connected = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S)
    return await transport_over(connected)


async def transport_over(connected: socket.socket) -> asyncio.Transport:
    """Return a connected socket as a connection; raises OSError, and closes the socket then."""
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(Unexpected, sock=connected)
    except OSError:
        connected.close()
        raise
    return transport


def is_address(host: str) -> bool:
    """Tell whether it is an address, and no name that may have several."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def set_options(transport: asyncio.Transport) -> None:
    """Have the system notice a peer that is gone, as far as it can."""
    end = transport.get_extra_info("socket")
    if end is None:
        return
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KNOWN_OPTIONS:
        with suppress(OSError):  # named by Python, and not known to this system
            end.setsockopt(socket.IPPROTO_TCP, option, value)


class Unexpected(asyncio.Protocol):
    """Hold a connection on which nothing has been asked; who speaks first there does not speak HTTP."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  asyncio's signature
        """Close."""
        assert isinstance(self._transport, asyncio.Transport)  # noqa: S101  asyncio gives no other
        self._transport.abort()


class TunnelOpener(asyncio.Protocol):
    """Read the answer of the network's proxy to a request for a tunnel."""

    def __init__(self) -> None:
        self.reader = ResponseReader(to_head=True)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self.reader.feed(data)
        except MalformedResponse as error:
            self._end(error)
        if self.reader.is_complete:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end(exc or ConnectionResetError())

    def _end(self, error: Exception | None) -> None:
        if self.answered.done():
            return
        if error is None:
            self.answered.set_result(None)
        else:
            self.answered.set_exception(error)


async def open_tunnel(transport: asyncio.Transport, origin: Origin, proxy: NetworkProxy) -> None:
    """Have the network's proxy open a way to the upstream; raises UpstreamFailure, and closes the connection then."""
    opener = TunnelOpener()
    transport.set_protocol(opener)
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    transport.write(f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n{login}\r\n".encode())
    try:
        await opener.answered
    except MalformedResponse as error:
        transport.abort()
        raise NetworkProxyRefused(f"{proxy} {NO_HTTP}") from error
    except OSError as error:
        raise NetworkProxyRefused(f"{proxy} {NO_ANSWER}") from error
    except BaseException:
        transport.abort()
        raise
    if not 200 <= opener.reader.status < 300:
        transport.abort()
        raise proxy.refusal(opener.reader.status)


def reason(error: BaseException) -> str:
    """Return the system's own words; asyncio puts the address in their place, which stands there already."""
    said = str(error)
    numbers = sorted({int(number) for number in ERRNO.findall(said)})
    if isinstance(error, OSError) and not isinstance(error, (socket.gaierror, ssl.SSLError)) and numbers:
        return ", ".join(os.strerror(number) for number in numbers)
    return getattr(error, "strerror", None) or said or type(error).__name__
