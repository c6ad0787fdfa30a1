"""An mcp.json, the source that reads it, and a way to call."""

import asyncio
import json
from pathlib import Path
from typing import Any

from proxy.tools.mcp.source import McpSource
from proxy.tools.runner import CallLimits, Runner
from proxy.tools.tool import CallRecord
from proxy.tools.workers import Workers

LIMITS = CallLimits(seconds=30, arguments_bytes=10_000, result_bytes=10_000)
START_S = 40.0


class McpDesk:
    """Hold one file; the servers it names run until `stop`."""

    def __init__(self, path: Path, limits: CallLimits = LIMITS) -> None:
        self.path = path
        self.limits = self._usual = limits
        self.source = McpSource(lambda: path, lambda: self.limits)
        self._workers = Workers()

    def write(self, **servers: Any) -> None:
        """Write the servers, as an editor does, and let the source take note."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        beside.replace(self.path)
        asyncio.run(self.source.settle(START_S))

    @property
    def names(self) -> list[str]:
        return [tool.name for tool in self.source.tools]

    def call(self, name: str, limits: CallLimits | None = None, /, **arguments: Any) -> CallRecord:
        """Run a tool, within limits of its own where some are given."""
        self.limits = limits or self._usual
        tool = next((tool for tool in self.source.tools if tool.name == name), None)
        return asyncio.run(Runner(self._workers).run(tool, name, json.dumps(arguments), self.limits))

    def stop(self) -> None:
        self.source.stop()
        self._workers.stop()
