"""All MCP servers of mcp.json, as one source of tools. A server that hangs or dies takes only its own tools along."""

import asyncio
import importlib.util
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from proxy.tools.file_source import Stamp, stamp_of
from proxy.tools.mcp.config import BrokenServersFile, McpServerConfig, read_servers
from proxy.tools.mcp.names import marked
from proxy.tools.mcp.orphans import Orphans
from proxy.tools.runner import CallLimits
from proxy.tools.tool import ServerState, Tool
from proxy.tools.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from proxy.tools.mcp.login import Vault
    from proxy.tools.mcp.server import McpServer

T = TypeVar("T")

STOP_S = 9.0
CONFIGURE_S = 1.0  # to start servers takes no time; to stop those that are gone from the file may, and goes on
NOT_INSTALLED = "{} names servers, but the MCP SDK is not installed: {} -m pip install 'mcp>=2.3'"

log = logging.getLogger(__name__)


class McpSource:
    """Start the servers, take note of changes in mcp.json, stop them. For any thread."""

    def __init__(
        self,
        path: Callable[[], Path],
        limits: Callable[[], CallLimits],
        vault: "Vault | None" = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._path = path
        self._environment = environment  # in which the file's variables are looked up
        self._vault = vault
        self._limits = limits
        self._orphans = Orphans()
        self._workers = Workers("mcp")
        self._stamp: Stamp | None = None
        self._configuring = threading.Lock()
        self._configuring_now: Future[None] | None = None
        self._began = 0.0
        self._servers: dict[McpServerConfig, McpServer] = {}  # touched on the loop alone
        self._tools: tuple[Tool, ...] = ()
        self._file_problems: list[str] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the tools of the servers that run now; the same object while nothing has changed."""
        return self._tools

    def problems(self) -> list[str]:
        """Return a sentence for everything that is wrong with the file or a server."""
        servers = list(self._servers.values())
        ill = [f"The MCP server {each.config.name} does not run: {each.problem}" for each in servers if each.problem]
        ill += [
            f"The MCP server {each.config.name} has said nothing yet"
            for each in servers
            if not each.problem and not each.settled.is_set()
        ]
        return [*self._file_problems, *ill, *(sentence for server in servers for sentence in server.left_out)]

    def states(self) -> tuple[ServerState, ...]:
        """Return how each server is doing."""
        return tuple(server.state_now() for server in list(self._servers.values()))

    def notes(self) -> list[str]:
        """Return a sentence for what is worth knowing and not wrong."""
        return [
            f"The MCP server {server.config.name} runs and offers no tools"
            for server in list(self._servers.values())
            if not server.problem and server.settled.is_set() and server.has_no_tools
        ]

    @property
    def is_stale(self) -> bool:
        """Tell whether the file has changed."""
        return stamp_of(self._path()) != self._stamp

    async def refresh(self, limit_s: float = CONFIGURE_S) -> None:
        """Start what is new in the file and stop what has gone; nobody waits for a server to come up."""
        if not self.is_stale:
            return
        if self._configuring_now is None or self._configuring_now.done():
            self._configuring_now = self._workers.call(self._configure)
            self._began = time.monotonic()
        if (left_s := self._began + limit_s - time.monotonic()) > 0:
            await asyncio.wait({asyncio.wrap_future(self._configuring_now)}, timeout=left_s)

    async def settle(self, limit_s: float) -> None:
        """Wait until every server has come up or failed to, once."""
        await self.refresh(limit_s)
        if self._servers:
            await asyncio.wait({asyncio.wrap_future(self._workers.await_(self._all_settled()))}, timeout=limit_s)

    def stop(self) -> None:
        """Stop all servers."""
        if self._servers:
            self._apply_now([])
        self._workers.stop()
        self._orphans.stop()
        self._stamp = None

    def _configure(self) -> None:
        """Read the file where it has changed, in a worker thread."""
        with self._configuring:
            path = self._path()
            stamp = stamp_of(path)
            if stamp == self._stamp:
                return
            try:
                configs, self._file_problems = read_servers(path, self._environment)
            except BrokenServersFile as broken:
                self._file_problems = [f"{broken}. The servers named before stay in use."]
            else:
                if configs and importlib.util.find_spec("mcp") is None:
                    configs, self._file_problems = [], [NOT_INSTALLED.format(path.name, sys.executable)]
                if configs or self._servers:
                    self._apply_now(configs)
            for problem in self._file_problems:
                log.error("%s", problem)
            self._stamp = stamp

    async def _apply(self, configs: list[McpServerConfig]) -> None:
        """Bring the running servers in line with the file."""
        from proxy.tools.mcp.login import Login  # noqa: PLC0415  as above
        from proxy.tools.mcp.server import McpServer  # noqa: PLC0415  the SDK is an extra, and takes its time

        vault = self._vault
        login = (lambda url: Login(url, vault, self._in_thread)) if vault is not None else None
        gone = [self._servers.pop(config) for config in list(self._servers) if config not in configs]
        for config in configs:
            if config not in self._servers:
                self._servers[config] = McpServer(config, self._note, self._call, self._limits, self._orphans, login)
        await asyncio.gather(*(server.stop() for server in gone))
        self._note()

    async def _all_settled(self) -> None:
        await asyncio.gather(*(server.settled.wait() for server in self._servers.values()))

    def _note(self) -> None:
        tools: dict[str, Tool] = {}
        for server in self._servers.values():
            for tool in server.tools:
                # Two servers can make one name: "a" with "b__c" and "a__b" with "c", or "my files" and "my_files".
                name = tool.name if tool.name not in tools else marked(tool.name, f"{tool.source}\n{tool.name}")
                tools[name] = tool if name == tool.name else replace(tool, name=name)
        self._tools = tuple(tools.values())

    def _call(self, coroutine: "Coroutine[Any, Any, T]") -> "asyncio.Future[T]":
        """Await something on the servers' loop, from a tool's."""
        return asyncio.wrap_future(self._workers.await_(coroutine))

    def _in_thread(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        return asyncio.wrap_future(self._workers.call(function))

    async def log_in(self, name: str, show: Callable[[str], None]) -> int:
        """Log in to a server of the file and return how many tools it has; `show` is given the page to open.

        Raises BrokenServersFile, LookupError where no server at a URL has the name, LoginFailed.
        """
        configs, _ = await self._in_thread(lambda: read_servers(self._path(), self._environment))
        config = next((config for config in configs if config.name == name and config.url is not None), None)
        if config is None or self._vault is None:
            raise LookupError(name)
        from proxy.tools.mcp.connecting import log_in  # noqa: PLC0415  as above

        count: int = await log_in(config, self._vault, self._in_thread, show)
        return count

    def _apply_now(self, configs: list[McpServerConfig]) -> None:
        """Bring the servers in line, from another thread."""
        try:
            self._workers.await_(self._apply(configs)).result(STOP_S)
        except Exception:
            log.exception("the MCP servers could not be brought in line with their file")
