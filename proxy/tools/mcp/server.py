"""One MCP server: kept running, listed anew when it says so, asked. Lives on the loop of the MCP source."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mcp import Client, MCPError
from mcp_types import CallToolResult, ToolListChangedNotification

from proxy.logs.redaction import redact
from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.results import text_of, tool_of
from proxy.tools.mcp.transport import open_transport
from proxy.tools.tool import CallFailed, JsonObject, NotATool, Tool

START_S = 30.0  # until a server has said what it offers
ALIVE_S = 5.0  # until one that let a call run out of time answers anything at all
LAST_WORD_S = 1.0  # for a start that failed to say why
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
MAX_PAGES = 50
STOP_S = 7.0  # the SDK closes, asks and kills, two seconds each

log = logging.getLogger(__name__)


class McpServer:
    """Keep a server running, with growing pauses where it does not stay."""

    def __init__(self, config: McpServerConfig, changed: Callable[[], None], call_from: Callable[..., Any]) -> None:
        self.config = config
        self.tools: tuple[Tool, ...] = ()
        self.problem: str | None = None
        self.settled = asyncio.Event()  # it has come up, or failed to, once
        self._changed = changed
        self._call_from = call_from
        self._client: Client | None = None
        self._over = asyncio.Event()  # of the connection that is open
        self._stopping = asyncio.Event()
        self._running = asyncio.get_running_loop().create_task(self._keep_running())

    async def stop(self) -> None:
        """Stop it for good."""
        self._stopping.set()
        self._over.set()
        await asyncio.wait({self._running}, timeout=STOP_S)
        self._running.cancel()

    async def call(self, name: str, arguments: JsonObject) -> str:
        """Call a tool; raises CallFailed."""
        client, over = self._client, self._over
        if client is None:
            raise CallFailed("not connected", f"The server {self.config.name} is not running.")
        try:
            result = await client.call_tool(name, arguments)
        except asyncio.CancelledError:
            self._look_after(client, over)  # it ran out of time: maybe the server hangs
            raise
        except Exception as error:
            self._look_after(client, over)
            raise failure_of(self.config.name, error) from error
        return text_of(result) if isinstance(result, CallToolResult) else ""

    async def _keep_running(self) -> None:
        pause_s = SHORTEST_PAUSE_S
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            self._over = asyncio.Event()
            await self._run_once()
            self._offer(())
            self.settled.set()
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                pause_s = SHORTEST_PAUSE_S
            log.warning("the MCP server %s: %s; started again in %g s", self.config.name, self.problem, pause_s)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _run_once(self) -> None:
        """Run the server until it ends, fails or is to stop; what went wrong stands in `problem`."""
        serving = asyncio.get_running_loop().create_task(self._serve())
        begun = asyncio.get_running_loop().create_task(self._over_or_begun())
        done, _ = await asyncio.wait({serving, begun}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if done and self._client is None:
            await asyncio.wait({serving}, timeout=LAST_WORD_S)
        if self._client is None:
            serving.cancel()
        await asyncio.wait({serving})
        self._client = None
        if not done:
            self.problem = f"it said nothing within {START_S:g} s"
        elif not serving.cancelled() and (error := serving.exception()) is not None:
            self.problem = described(error)
        else:
            self.problem = "it has ended"

    async def _over_or_begun(self) -> None:
        while self._client is None and not self._over.is_set():  # noqa: ASYNC110  the SDK offers nothing to wait for
            await asyncio.sleep(0.05)

    async def _serve(self) -> None:
        over, listed_anew = self._over, asyncio.Event()

        async def note(message: object) -> None:
            if isinstance(message, ToolListChangedNotification):
                listed_anew.set()

        def end() -> None:
            over.set()
            self._client = None
            self._offer(())

        async with Client(open_transport(self.config, end), message_handler=note) as client:
            self._offer(await self._list(client))
            self._client, self.problem = client, None
            self.settled.set()
            log.info("the MCP server %s offers %d tools", self.config.name, len(self.tools))
            hearing = asyncio.get_running_loop().create_task(hear_changes(client, listed_anew))
            try:
                await self._follow(client, over, listed_anew)
            finally:
                hearing.cancel()
                await asyncio.wait({hearing})

    async def _follow(self, client: Client, over: asyncio.Event, listed_anew: asyncio.Event) -> None:
        while not over.is_set():
            await first_of(over, listed_anew)
            if listed_anew.is_set() and not over.is_set():
                listed_anew.clear()
                self._offer(await self._list(client))

    async def _list(self, client: Client) -> tuple[Tool, ...]:
        tools: dict[str, Tool] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="bypass")
            for found in page.tools:
                with suppress(NotATool):
                    tool = tool_of(self.config.name, found, self._remote_call)
                    tools.setdefault(tool.name, tool)
            cursor = page.next_cursor
            if cursor is None:
                break
        return tuple(tools.values())

    async def _remote_call(self, name: str, arguments: JsonObject) -> str:
        text: str = await self._call_from(self.call(name, arguments))
        return text

    def _offer(self, tools: tuple[Tool, ...]) -> None:
        self.tools = tools
        self._changed()

    def _look_after(self, client: Client, over: asyncio.Event) -> None:
        if client is self._client and not over.is_set():
            self._looking = asyncio.get_running_loop().create_task(check_alive(client, over))


async def hear_changes(client: Client, listed_anew: asyncio.Event) -> None:
    """Have a server of the newer protocol say when its tools change; older ones say so unasked."""
    try:
        async with client.listen(tools_list_changed=True) as changes:
            async for _ in changes:
                listed_anew.set()
    except Exception as error:  # noqa: BLE001  a server that cannot is listed at its next start
        log.debug("an MCP server does not tell of changes: %r", error)


async def check_alive(client: Client, over: asyncio.Event) -> None:
    """End a connection whose server answers nothing any more."""
    try:
        await asyncio.wait_for(client.list_tools(cache_mode="bypass"), ALIVE_S)
    except Exception:  # noqa: BLE001  whatever it is, this server is not well
        over.set()


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()


def failure_of(server: str, error: Exception) -> CallFailed:
    """Return what the model is told of a call the server did not answer properly."""
    if isinstance(error, MCPError):
        return CallFailed("failed", f"The server {server} answered: {redact(error.error.message)}")
    return CallFailed("not connected", f"The server {server} cannot be reached ({type(error).__name__}).")


def described(error: BaseException) -> str:
    """Say what stopped a server; groups of errors hold the telling one within."""
    while isinstance(getattr(error, "exceptions", None), tuple):
        error = error.exceptions[0]  # type: ignore[attr-defined]  # Python 3.10 has no name for such groups
    return redact(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
