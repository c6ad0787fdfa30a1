"""One call of a server's tool: its time, and what the model is told where there is no result."""

import asyncio
from typing import Any

from mcp import Client, MCPError
from mcp_types import METHOD_NOT_FOUND

from proxy.logs.redaction import redact
from proxy.tools.mcp.results import FAILURE_LIMIT, shortened
from proxy.tools.tool import CallFailed, JsonObject

ALIVE_S = 5.0  # until a server that let a call run out of time answers anything at all
LONGEST_CALL_S = 3600.0  # however often a call says that it makes progress


async def in_time(client: Client, name: str, arguments: JsonObject, limit_s: float) -> Any:
    """Return the result of a call; raises CallFailed where nothing was heard of it for so long."""
    now = asyncio.get_running_loop().time
    last_heard = began = now()

    async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001  as the SDK has it
        nonlocal last_heard
        last_heard = now()

    calling = asyncio.get_running_loop().create_task(client.call_tool(name, arguments, progress_callback=hear))
    try:
        while not calling.done():
            ends = min(last_heard + limit_s, began + max(limit_s, LONGEST_CALL_S))
            if ends <= now():
                raise CallFailed("timed out", f"The tool did not finish within {limit_s:g} seconds.")
            await asyncio.wait({calling}, timeout=ends - now())
        return calling.result()
    finally:
        calling.cancel()


async def check_alive(client: Client, over: asyncio.Event) -> None:
    """End a connection whose server answers nothing any more."""
    try:
        await asyncio.wait_for(client.list_tools(cache_mode="bypass"), ALIVE_S)
    except MCPError as error:
        if error.error.code != METHOD_NOT_FOUND:
            over.set()
    except Exception:  # noqa: BLE001  whatever it is, this server is not well
        over.set()


def failure_of(server: str, error: Exception) -> CallFailed:
    """Return what the model is told of a call the server did not answer properly."""
    if isinstance(error, MCPError):
        said = shortened(redact(error.error.message[: FAILURE_LIMIT * 2]), FAILURE_LIMIT)
        return CallFailed("failed", f"The server {server} answered: {said}")
    if isinstance(error, (ValueError, RuntimeError)):  # a result that is none, or does not fit its own schema
        return CallFailed("failed", f"The server {server} answered what is no result ({type(error).__name__}).")
    return CallFailed("not connected", f"The server {server} cannot be reached ({type(error).__name__}).")
