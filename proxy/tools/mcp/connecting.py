"""Connect to a server at a URL once, with its user there, to log in."""

import asyncio
from collections.abc import Callable

from mcp import Client
from mcp.client.auth import OAuthClientProvider

from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.login import WAIT_S, Callback, InThread, Login, LoginFailed, Vault
from proxy.tools.mcp.reasons import described, innermost
from proxy.tools.mcp.remote import PERMANENT, Remote


async def log_in(config: McpServerConfig, vault: Vault, in_thread: InThread, show: Callable[[str], None]) -> int:
    """Log in and return how many tools the server lists; raises LoginFailed. Tokens go to the vault."""
    async with Callback() as callback:

        async def show_page(url: str) -> None:
            if not url.startswith(("https://", "http://")):  # other schemes may start a program
                raise LoginFailed("the page to log in at is no web page")
            show(url)

        provider = Login(config.url or "", vault, in_thread).new(callback.port, show_page, callback.wait)

        async def login() -> OAuthClientProvider:
            return provider

        ways = (True,) if config.transport == "sse" else (False, True)
        for is_sse in ways:
            remote = Remote(config, login, is_sse=is_sse)
            try:
                return await asyncio.wait_for(count_tools(remote), WAIT_S)
            except Exception as error:
                if not is_sse and remote.status in PERMANENT and len(ways) > 1:
                    continue
                cause = innermost(error)
                if isinstance(cause, LoginFailed):
                    raise cause from error
                raise LoginFailed(described(cause or error)) from error
    raise LoginFailed("the server does not answer")


async def count_tools(remote: Remote) -> int:
    """Return how many tools a server lists at first."""
    async with Client(remote.open(lambda: None)) as client:
        return len((await client.list_tools()).tools) if client.server_capabilities.tools is not None else 0
