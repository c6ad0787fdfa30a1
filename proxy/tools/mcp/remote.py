"""The way to a server at a URL, over the SDK's transports, and what its answers mean where it does not come up."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from proxy.logs.redaction import redact
from proxy.settings.parsing import stays_on_this_computer
from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.lines import MAX_LINE_BYTES
from proxy.tools.mcp.tolerance import mended

CONNECT_S = 15.0
READ_S = 300.0  # a call may be long; its own limit is shorter
QUIET_S = 86_400.0  # the older transport keeps one stream open for everything, and may have nothing to say for long
PERMANENT = (404, 405)  # what an address answers that speaks the older transport alone

MEANINGS = {
    400: "it does not take the first message; check the address",
    401: "it wants a login; run `openai-tray-proxy tools login` with its name, or put a token into its headers",
    402: "it wants to be paid",
    403: "it refuses this login; check the token in the entry's headers",
    404: "nothing is at this address; it often ends in /mcp or /sse",
    405: "this address speaks neither streamable HTTP nor the older SSE transport",
    406: "it does not speak streamable HTTP",
    407: "the network's proxy wants a login",
    410: "it is gone; ask whoever runs it for the new address",
    429: "it takes no more requests for now",
}


class WatchedStream:
    """A stream of the SDK's that mends what comes, and calls a function when it ends."""

    def __init__(self, stream: Any, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def receive(self) -> Any:
        """Return the next message."""
        try:
            return mended(await self._stream.receive())
        except BaseException:
            self._ended()
            raise

    def __aiter__(self) -> "WatchedStream":
        return self

    async def __anext__(self) -> Any:
        try:
            return mended(await self._stream.__anext__())
        except BaseException:
            self._ended()
            raise

    async def __aenter__(self) -> "WatchedStream":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)


class BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer that is read whole, up to MAX_LINE_BYTES."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body; raises httpx2.ReadError where it is too large."""
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_LINE_BYTES:
                raise httpx2.ReadError(f"the answer is larger than {MAX_LINE_BYTES // 1_048_576} MB")
            yield chunk

    async def aclose(self) -> None:
        """Close the answer."""
        await self._stream.aclose()


class Remote:
    """One run of the connection to a server elsewhere; it remembers the answer that was in the way."""

    def __init__(
        self,
        config: McpServerConfig,
        login: Callable[[], Awaitable[httpx2.Auth | None]],
        *,
        is_sse: bool,
    ) -> None:
        self._config = config
        self._login = login
        self._auth: httpx2.Auth | None = None
        self._is_sse = is_sse
        self.status: int | None = None  # of the first answer that is no good
        self._said = ""

    @asynccontextmanager
    async def open(self, ended: Callable[[], None]) -> AsyncGenerator[TransportStreams, None]:
        """Reach the URL; `ended` is called when the connection is over."""
        url = self._config.url or ""
        if not any(name.lower() == "authorization" for name, _ in self._config.headers):
            self._auth = await self._login()
        if self._is_sse:
            async with sse_client(url, httpx_client_factory=self._client, sse_read_timeout=QUIET_S) as (read, write):
                yield WatchedStream(read, ended), write
            return
        async with (
            self._client(timeout=httpx2.Timeout(CONNECT_S, read=READ_S)) as client,
            streamable_http_client(url, http_client=client, max_sse_event_size=MAX_LINE_BYTES) as (read, write),
        ):
            yield WatchedStream(read, ended), write

    def explained(self) -> str | None:
        """Return what was wrong with the server's answers and what to do; None where nothing was."""
        return self._said or None

    def _client(
        self,
        headers: dict[str, Any] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        # Unpacked, an answer could be a thousand times as large as what is counted.
        return httpx2.AsyncClient(
            headers={"accept-encoding": "identity", **(headers or {}), **dict(self._config.headers)},
            timeout=timeout or httpx2.Timeout(CONNECT_S, read=READ_S),
            auth=auth or self._auth,
            mounts=direct_ways(self._config.url or ""),
            event_hooks={"response": [self._look_at]},
        )

    async def _look_at(self, response: httpx2.Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream" and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = BoundedStream(response.stream)
        if response.request.method == "DELETE" or response.request.url != httpx2.URL(self._config.url or ""):
            return  # what a login asks for elsewhere is its own affair
        status = response.status_code
        said = meaning_of(status, kind, response.headers.get("location", ""))
        if not said:
            self.status, self._said = None, ""
        elif not self._said:
            self.status, self._said = status, said


def meaning_of(status: int, kind: str, location: str) -> str:
    """Say what an answer means that is none of the protocol's, "" for one that may be."""
    if 300 <= status < 400:
        return f"it answers {status} and sends elsewhere: {redact(location)[:200]}"
    if status >= 500:
        return f"it answers {status}: the server itself is in trouble"
    if status >= 400:
        return f"it answers {status}: {MEANINGS.get(status, 'it refuses the first message')}"
    if kind == "text/html":
        return f"it answers {status} with a web page (HTML): this is not the address of an MCP server"
    return ""


def direct_ways(url: str) -> dict[str, None]:
    """Return where no network's proxy is asked, beside what NO_PROXY says: for a server on this computer."""
    host = httpx2.URL(url).host
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None} if stays_on_this_computer(host) else {}
