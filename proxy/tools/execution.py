"""Tools as the rest of the program knows them. While they are off, none of their machinery is imported."""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.tools.consent import Consent
from proxy.tools.loop.request import ToolRequest
from proxy.tools.switches import Cost, Switches, cost_of, is_off
from proxy.tools.tool import CallRecord, Overview, Tool

EXAMINED_S = 15.0  # so long MCP servers may take to come up before they are called slow
PATHS = ("/chat/completions", "/responses")  # where a model can ask for tools

if TYPE_CHECKING:
    from proxy.tools.mcp.login import Vault
    from proxy.tools.toolbox import Toolbox


class ToolExecution:
    """The door to the tools. For any thread."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        default_file: Callable[[], Path],
        servers_file: Callable[[], Path],
        consent: Consent,
        vault: "Vault | None" = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.consent = consent
        self._settings = settings
        self._default_file = default_file
        self._servers_file = cache(servers_file)  # asked once; with each request, whether it has changed
        self._vault = vault
        self._environment = environment  # in which mcp.json names variables
        self._opening = threading.Lock()
        self._toolbox: Toolbox | None = None
        self._holders = 0
        self._file_of: tuple[Settings, Path] | None = None
        self._cost: tuple[Mapping[str, Tool], Switches, Cost] | None = None

    async def open(self, request: ToolRequest) -> Answer:
        """Return the answer to a request whose model may call our tools; raises ProxyError."""
        if self._toolbox is None:
            await asyncio.get_running_loop().run_in_executor(None, self.toolbox)
        return await self.toolbox().open(request)

    async def warm_up(self) -> None:
        """Load the functions and start the MCP servers ahead of the first request, where tools are on."""
        if self._settings().enable_tool_execution:
            await asyncio.get_running_loop().run_in_executor(None, self.start)

    def follow(self, old: Settings, new: Settings) -> None:
        """Take note that the switch was turned: start or stop the tools in a thread of their own."""
        if old.enable_tool_execution != new.enable_tool_execution:
            turn = self.start if new.enable_tool_execution else self.stop
            threading.Thread(target=turn, name="tools-switch", daemon=True).start()

    def start(self) -> None:
        """Load the functions and start the MCP servers. Not for the event loop."""
        asyncio.run(self.toolbox().registry.refresh())

    def toolbox(self) -> "Toolbox":
        """Return the machinery, put together at the first use; that takes a tenth of a second."""
        with self._opening:
            if self._toolbox is None:
                from proxy.tools.toolbox import Toolbox  # noqa: PLC0415  who runs no tools does not pay for it

                self._toolbox = Toolbox(
                    self._settings, self.file_path, self._servers_file, self.consent, self._vault, self._environment
                )
            return self._toolbox

    def file_path(self) -> Path:
        """Return where the user's functions stand, whether or not they exist."""
        settings = self._settings()
        if self._file_of is None or self._file_of[0] is not settings:  # it is asked for with each request
            chosen = settings.function_tools_file
            path = Path(os.path.expanduser(chosen)) if chosen else self._default_file()  # noqa: PTH111  unlike Path it never fails
            self._file_of = settings, path
        return self._file_of[1]

    def known(self) -> Mapping[str, Tool]:
        """Return the tools by name, as far as they are loaded; never blocks."""
        toolbox = self._toolbox
        return toolbox.registry.tools if toolbox is not None else {}

    def known_cost(self) -> Cost:
        """Return what the tools that are offered to everybody add to each request; worked out anew after a change."""
        tools, off = self.known(), self._settings().tool_off
        if self._cost is None or self._cost[0] is not tools or self._cost[1] is not off:
            offered = [tool for name, tool in tools.items() if not is_off(off, name, ())]
            self._cost = tools, off, cost_of(*offered)
        return self._cost[2]

    def examine(self) -> tuple[int, list[str]]:
        """Return how many tools there are, and what is wrong with those that are none. Not for the event loop."""
        toolbox = self.toolbox()
        asyncio.run(toolbox.settle(EXAMINED_S))
        return len(toolbox.registry.tools), toolbox.problems()

    def servers_path(self) -> Path:
        """Return where the MCP servers stand, whether or not the file exists."""
        return self._servers_file()

    def overview(self) -> Overview:
        """Return how the tools and servers stand now; those of a changed file are on their way. Not for the loop."""
        toolbox = self.toolbox()
        asyncio.run(toolbox.registry.refresh())
        return toolbox.overview()

    def try_call(self, name: str, arguments: str) -> CallRecord:
        """Run a tool for the user, without a question. Not for the event loop."""
        return asyncio.run(self.toolbox().try_call(name, arguments))

    def hold(self) -> None:
        """Keep the tools running until `release`: a server that moves has a second one beside it for a while."""
        with self._opening:
            self._holders += 1

    def release(self) -> None:
        """Stop the tools when the last holder lets go."""
        with self._opening:
            self._holders -= 1
            is_last = self._holders == 0
        if is_last:
            self.stop()

    def stop(self) -> None:
        """End what still runs; a second call does nothing."""
        with self._opening:
            toolbox, self._toolbox = self._toolbox, None
        if toolbox is not None:
            toolbox.stop()
