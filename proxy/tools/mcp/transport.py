"""The way to a server, over the SDK's transports; it tells when the other side has ended."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from proxy.settings.parsing import stays_on_this_computer
from proxy.tools.mcp.config import McpServerConfig

CONNECT_S = 15.0
READ_S = 300.0  # a call may be long; its own limit is shorter


class WatchedStream:
    """A stream of the SDK's that calls a function when it ends."""

    def __init__(self, stream: Any, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def receive(self) -> Any:
        """Return the next message."""
        try:
            return await self._stream.receive()
        except BaseException:
            self._ended()
            raise

    def __aiter__(self) -> "WatchedStream":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._ended()
            raise

    async def __aenter__(self) -> "WatchedStream":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)


@asynccontextmanager
async def open_transport(config: McpServerConfig, ended: Callable[[], None]) -> AsyncGenerator[TransportStreams, None]:
    """Start the command, or reach the URL; what a command writes to its error output is dropped."""
    if config.command is not None:
        parameters = StdioServerParameters(
            command=config.command, args=list(config.args), env=dict(config.env), cwd=config.cwd
        )
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230, PTH123  it never waits
            async with stdio_client(parameters, errlog=nowhere) as (read, write):
                yield WatchedStream(read, ended), write
        return
    url = config.url or ""
    timeout = httpx2.Timeout(CONNECT_S, read=READ_S)
    async with (
        httpx2.AsyncClient(headers=dict(config.headers), timeout=timeout, mounts=direct_ways(url)) as client,
        streamable_http_client(url, http_client=client) as (read, write),
    ):
        yield WatchedStream(read, ended), write


def direct_ways(url: str) -> dict[str, None]:
    """Return where no network's proxy is asked, beside what NO_PROXY says: for a server on this computer."""
    host = httpx2.URL(url).host
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None} if stays_on_this_computer(host) else {}
