"""Requests through the network's proxy: its login goes with them, and its trouble is told as its own."""

import aiohttp
from multidict import CIMultiDict

from proxy.errors.upstream import NetworkProxyRefused, NetworkProxyUnreachable, UpstreamFailure, UpstreamProtocolFailure
from proxy.upstream.errors import BrokenOff, reason
from proxy.upstream.network_proxy import AUTH_REQUIRED, AUTHORIZATION, NO_ANSWER, NO_HTTP, NetworkProxy
from proxy.upstream.session import SentRequest


class ProxyMiddleware:
    """A middleware of the HTTP client. It stands before all others, and takes what they make of a broken connection."""

    def __init__(self, proxy: NetworkProxy) -> None:
        self._proxy = proxy

    async def __call__(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send with the login; raises NetworkProxyUnreachable, NetworkProxyRefused or NetworkProxyAuth."""
        assert isinstance(request, SentRequest)  # noqa: S101  the session makes no others
        self._log_in(request)
        try:
            response = await send(request)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            if (failure := failure_of(self._proxy, request, error)) is not None:
                raise failure from error
            raise
        if response.status == AUTH_REQUIRED and not request.is_ssl():  # within a tunnel it is the upstream's own
            response.close()
            raise self._proxy.refusal(response.status)
        return response

    def _log_in(self, request: SentRequest) -> None:
        """Put the login where the proxy sees it: in the request for a tunnel, or in the one request there is."""
        login = self._proxy.authorization
        if login is None:
            return
        if request.is_ssl():
            request.proxy_headers = CIMultiDict({AUTHORIZATION: login})
        else:
            request.headers[AUTHORIZATION] = login


def failure_of(proxy: NetworkProxy, request: SentRequest, error: Exception) -> UpstreamFailure | None:
    """Return what to say of a request that came to nothing, None where that is not the proxy's doing.

    As long as there is no way to the upstream the proxy is who answers; without a tunnel it is so to the end.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy.refusal(error.status)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError)):
        return connecting_failure(proxy, request, error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NetworkProxyUnreachable(f"{proxy} opened no way to {request.host}:{request.port} in time")
    is_tunnel_open = request.transport is not None and request.is_ssl()
    is_stale = isinstance(error, BrokenOff) and error.stale
    if is_tunnel_open or is_stale or isinstance(error, aiohttp.ServerTimeoutError):
        return None
    is_no_http = not isinstance(error, (BrokenOff, aiohttp.ServerDisconnectedError, OSError))
    return NetworkProxyRefused(f"{proxy} {NO_HTTP if is_no_http else NO_ANSWER}")


def connecting_failure(
    proxy: NetworkProxy,
    request: SentRequest,
    error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError,
) -> UpstreamFailure | None:
    """Return what to say of a connection that was not made, None where the upstream's certificate is to blame."""
    is_upstream = (error.host, error.port) == (request.host, request.port)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return None if is_upstream else NetworkProxyUnreachable(f"{proxy}: {error.certificate_error}")
    if isinstance(error, aiohttp.ClientProxyConnectionError) or not is_upstream:
        return NetworkProxyUnreachable(f"{proxy}: {reason(error.os_error)}")
    if isinstance(error, aiohttp.ClientSSLError):
        return None
    return UpstreamProtocolFailure(f"the way through {proxy} ended within the TLS handshake")
