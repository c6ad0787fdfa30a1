"""The tools' machinery, wired: sources, registry, runner. Importing it costs; `execution` does so when it is needed."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.tools.consent import Consent
from proxy.tools.file_source import FileSource
from proxy.tools.loop.apis import open_loop
from proxy.tools.loop.mixed_turns import MixedTurns
from proxy.tools.loop.models_without_tools import ModelsWithoutTools
from proxy.tools.loop.request import ToolRequest
from proxy.tools.loop.response_ids import ResponseIds
from proxy.tools.loop.session import LoopParts
from proxy.tools.mcp.source import McpSource
from proxy.tools.registry import Registry
from proxy.tools.runner import CallLimits, Runner
from proxy.tools.shipped.source import ShippedSource
from proxy.tools.tool import CallRecord, Overview
from proxy.tools.workers import Workers

if TYPE_CHECKING:
    from proxy.tools.mcp.login import Vault

SETTLE_S = 35.0


class Toolbox:
    """Hold the sources and what runs their tools."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        file_path: Callable[[], Path],
        servers_path: Callable[[], Path],
        consent: Consent,
        vault: "Vault | None" = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._workers = Workers()
        self._file = FileSource(file_path, lambda: CallLimits.of(settings()))
        self._runner = Runner(self._workers)
        self._parts = LoopParts(self._runner, consent, MixedTurns(), ResponseIds(), ModelsWithoutTools())
        self._servers = McpSource(servers_path, lambda: CallLimits.of(settings()), vault, environment)
        self.registry = Registry((self._file, ShippedSource(), self._servers))

    async def open(self, request: ToolRequest) -> Answer:
        """Return the answer to a request whose model may call our tools; raises ProxyError."""
        await self.registry.refresh()
        return await open_loop(request, self.registry.tools, self._settings(), self._parts)

    def problems(self) -> list[str]:
        """Return a sentence for everything that was meant to be a tool and is none."""
        broken = [f"{self._file.problem}. The tools it held before stay in use."] if self._file.problem else []
        hidden = [
            f"The tool {tool.name} of the MCP server {tool.source} is left out: another tool has its name"
            for tool in self._servers.tools
            if self.registry.tools.get(tool.name) is not tool
        ]
        refused = self._parts.without_tools.sentences()
        return [*broken, *self._file.left_out, *self._servers.problems(), *hidden, *refused]

    def notes(self) -> list[str]:
        """Return a sentence for what is worth knowing and not wrong."""
        return self._servers.notes()

    def overview(self) -> Overview:
        """Return all of it as values."""
        return Overview(tuple(self.registry.tools.values()), self._servers.states(), tuple(self.problems()))

    async def settle(self, limit_s: float = SETTLE_S) -> None:
        """Wait until every source has said what it has: MCP servers take a moment to come up."""
        await self.registry.refresh()
        await self._servers.settle(limit_s)

    async def try_call(self, name: str, arguments: str) -> CallRecord:
        """Run a tool for the user, without a question."""
        await self.settle()
        return await self._runner.run(self.registry.tools.get(name), name, arguments, CallLimits.of(self._settings()))

    async def log_in(self, server: str, show: Callable[[str], None]) -> int:
        """Log in to an MCP server and return how many tools it has, as `McpSource.log_in` does."""
        return await self._servers.log_in(server, show)

    def stop(self) -> None:
        """End what still runs, MCP servers and the functions' process too."""
        self._file.stop()
        self._servers.stop()
        self._workers.stop()
