"""Turn the HTTP client's and the SDK's errors into ours, at the one border where they arise."""

import asyncio
import os
import ssl
from types import TracebackType

import aiohttp
import httpx2
import openai

from proxy.errors.upstream import (
    UpstreamDnsFailure,
    UpstreamFailure,
    UpstreamProtocolFailure,
    UpstreamTimeout,
    UpstreamTlsFailure,
    UpstreamTruncated,
    UpstreamUnreachable,
)


class BrokenOff(aiohttp.ClientError):
    """The connection ended before an answer began."""

    def __init__(self, how: str, *, stale: bool) -> None:
        super().__init__(how)
        self.stale = stale  # it had carried a request before, and no byte came back for this one


# Read from the top: the first class that fits decides.
OPENING: tuple[tuple[type[BaseException], type[UpstreamFailure]], ...] = (
    (aiohttp.ClientConnectorDNSError, UpstreamDnsFailure),
    (aiohttp.ClientSSLError, UpstreamTlsFailure),
    (aiohttp.ServerFingerprintMismatch, UpstreamTlsFailure),
    (ssl.SSLError, UpstreamTlsFailure),
    (aiohttp.ConnectionTimeoutError, UpstreamUnreachable),
    (aiohttp.ClientConnectorError, UpstreamUnreachable),
    (aiohttp.ClientHttpProxyError, UpstreamUnreachable),
    (aiohttp.InvalidURL, UpstreamUnreachable),
    (httpx2.InvalidURL, UpstreamUnreachable),
    (aiohttp.ServerTimeoutError, UpstreamTimeout),
    (aiohttp.ClientError, UpstreamProtocolFailure),
    (asyncio.TimeoutError, UpstreamTimeout),
    (httpx2.TimeoutException, UpstreamTimeout),
    (httpx2.TransportError, UpstreamProtocolFailure),
    (openai.APITimeoutError, UpstreamTimeout),
    (openai.APIConnectionError, UpstreamUnreachable),
    (openai.OpenAIError, UpstreamProtocolFailure),
    (ConnectionError, UpstreamProtocolFailure),
)
READING: tuple[tuple[type[BaseException], type[UpstreamFailure]], ...] = (
    (aiohttp.ServerTimeoutError, UpstreamTimeout),
    (asyncio.TimeoutError, UpstreamTimeout),
    (aiohttp.ClientError, UpstreamTruncated),
    (ConnectionError, UpstreamTruncated),
)


class ForeignErrors:
    """A context manager that re-raises foreign errors as ours; it holds no state and can be entered many times."""

    def __init__(self, table: tuple[tuple[type[BaseException], type[UpstreamFailure]], ...]) -> None:
        self._table = table
        self.foreign = tuple(foreign for foreign, _ in table)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, self.foreign):
            raise self.translate(error) from error

    def translate(self, error: BaseException) -> UpstreamFailure:
        """Return our error for a foreign one; the SDK hides the telling one in its chain of causes."""
        root = error
        while isinstance(root, (openai.OpenAIError, httpx2.TransportError)) and root.__cause__ is not None:
            root = root.__cause__
        for cause in (root, error):
            for foreign, ours in self._table:
                if isinstance(cause, foreign):
                    return ours(describe(root if str(root) else cause))
        return UpstreamProtocolFailure(describe(error))


def describe(error: BaseException) -> str:
    """Say in a few words what went wrong; the client's messages hold addresses and reasons, never headers."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientPayloadError) and str(error).startswith("Response payload is not completed"):
        return "its connection ended within it"
    return str(error).partition("\n")[0] or ("" if isinstance(error, BrokenOff) else type(error).__name__)


def reason(error: OSError) -> str:
    """Return the system's own words; asyncio puts the address in their place, which stands there already."""
    said = error.strerror or str(error)
    return os.strerror(error.errno) if error.errno and said.startswith("Connect call failed") else said


opening = ForeignErrors(OPENING)
reading = ForeignErrors(READING)
