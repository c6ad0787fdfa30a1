"""One MCP server: kept running, listed anew when it says so, asked. Lives on the loop of the MCP source."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Literal

from mcp import Client
from mcp_types import CallToolResult, ToolListChangedNotification

from proxy.tools.mcp.calls import check_alive, failure_of, in_time
from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.environment import SECRET, ProgramNotFound
from proxy.tools.mcp.last_words import LastWords
from proxy.tools.mcp.listing import NOTHING, Offered, list_tools
from proxy.tools.mcp.login import Login
from proxy.tools.mcp.orphans import Orphans
from proxy.tools.mcp.reasons import described, innermost, is_end
from proxy.tools.mcp.remote import PERMANENT, Remote
from proxy.tools.mcp.results import text_of
from proxy.tools.mcp.stdio import ServerProcess, open_stdio
from proxy.tools.runner import CallLimits
from proxy.tools.tool import CallFailed, JsonObject, ServerState, Tool

START_S = 30.0  # until a server has said what it offers
FETCH_S = 120.0  # the same, where the command may have to download the server first
FETCHING = frozenset(("npx", "bunx", "pnpm", "pnpx", "yarn", "uvx", "uv", "pipx", "docker", "podman", "deno", "dnx"))
LAST_WORD_S = 1.0  # for a start that failed to say why
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LOGGED_LIMIT = 4_000  # characters of what a server wrote last
STOP_S = 7.0  # a server is asked, told and killed, two seconds each

log = logging.getLogger(__name__)


class McpServer:
    """Keep a server running, with growing pauses where it does not stay."""

    def __init__(
        self,
        config: McpServerConfig,
        changed: Callable[[], None],
        call_from: Callable[..., Any],
        limits: Callable[[], CallLimits],
        orphans: Orphans,
        login: Callable[[str], Login] | None = None,
    ) -> None:
        self.config = config
        self._login = login
        self.tools: tuple[Tool, ...] = ()
        self.left_out: tuple[str, ...] = ()  # a sentence for each tool that is not offered
        self.problem: str | None = None
        self.has_no_tools = False
        self.settled = asyncio.Event()  # it has come up, or failed to, once
        self._changed = changed
        self._call_from = call_from
        self._limits = limits
        self._orphans = orphans
        self._is_sse = config.transport == "sse"
        self._logged: set[str] = set()  # of what is left out
        self._told: str | None = None  # the problem that stands in the log already
        self._remote: Remote | None = None
        self._process: ServerProcess | None = None
        self._client: Client | None = None
        self._over = asyncio.Event()  # of the connection that is open
        self._stopping = asyncio.Event()
        self._running = asyncio.get_running_loop().create_task(self._keep_running())

    def state_now(self) -> ServerState:
        """Return how it is doing."""
        state: Literal["running", "starting", "down"] = "running" if self._client is not None else "starting"
        if self.problem:
            state = "down"
        words = self._process.words.lines if self._process is not None else ()
        return ServerState(self.config.name, self.config.transport, state, self.problem, len(self.tools), words)

    async def stop(self) -> None:
        """Stop it for good."""
        self._stopping.set()
        self._over.set()
        await asyncio.wait({self._running}, timeout=STOP_S)
        self._running.cancel()

    async def call(self, name: str, arguments: JsonObject) -> str:
        """Call a tool; raises CallFailed."""
        client, over, limits = self._client, self._over, self._limits()
        if client is None:
            raise CallFailed("not connected", f"The server {self.config.name} is not running.")
        try:
            result = await in_time(client, name, arguments, self.config.timeout_s or limits.seconds)
        except asyncio.CancelledError:
            self._look_after(client, over)  # its caller has gone: maybe the server hangs
            raise
        except CallFailed:
            self._look_after(client, over)  # it ran out of time
            raise
        except Exception as error:
            self._look_after(client, over)
            raise failure_of(self.config.name, error) from error
        return text_of(result, limits.result_bytes) if isinstance(result, CallToolResult) else ""

    async def _keep_running(self) -> None:
        pause_s = SHORTEST_PAUSE_S
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            self._over = asyncio.Event()
            await self._run_once()
            if self._takes_older_way():
                await self._run_once()
            self._offer()
            self.settled.set()
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE_S:
                pause_s = SHORTEST_PAUSE_S
            self._tell()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _takes_older_way(self) -> bool:
        """Tell whether the older transport is to be tried at once; after it, both are tried again."""
        if self.config.transport != "http" or self._stopping.is_set():
            return False
        was_sse, self._is_sse = self._is_sse, False
        if was_sse or self._remote is None or self._remote.status not in PERMANENT:
            return False
        self._is_sse = True
        self._over = asyncio.Event()
        return True

    def _tell(self) -> None:
        """Write to the log why a server does not run, once for each reason."""
        if self.problem == self._told:
            return
        self._told = self.problem
        log.warning("the MCP server %s does not run: %s; it is started again", self.config.name, self.problem)
        if self._process is not None and self._process.words.lines:
            words = " | ".join(self._process.words.lines)[-LOGGED_LIMIT:]
            log.warning("what the MCP server %s wrote last: %s", self.config.name, words)

    async def _run_once(self) -> None:
        """Run the server until it ends, fails or is to stop; what went wrong stands in `problem`."""
        first_status = self._remote.explained() if self._remote and self._is_sse else None
        serving = asyncio.get_running_loop().create_task(self._serve())
        begun = asyncio.get_running_loop().create_task(self._over_or_begun())
        limit_s = start_limit_s(self.config)
        done, _ = await asyncio.wait({serving, begun}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if done and self._client is None:
            await asyncio.wait({serving}, timeout=LAST_WORD_S)
        if self._client is None:
            serving.cancel()
        await asyncio.wait({serving})
        self._client = None
        error = None if serving.cancelled() else serving.exception()
        said = f"it said nothing within {limit_s:g} s" if not done else self._reason(error)
        if self.config.transport == "http" and self._is_sse and first_status:
            said = first_status  # of the way it is meant to be reached by
        self.problem = self._with_last_words(said)

    def _reason(self, error: BaseException | None) -> str:
        """Say why a run is over."""
        error = innermost(error)
        if isinstance(error, ProgramNotFound):
            return str(error)
        if self._remote is not None and error is not None and (explained := self._remote.explained()):
            return explained
        code = self._process.exit_code if self._process is not None else None
        if code is not None and (error is None or is_end(error)):
            return f"it has ended with exit code {code}" if code >= 0 else f"it was ended by signal {-code}"
        return described(error) if error is not None else "it has ended"

    def _with_last_words(self, said: str) -> str:
        words = self._process.words.told() if self._process is not None else ""
        return f"{said}; it wrote: {words}" if words else said

    async def _over_or_begun(self) -> None:
        while self._client is None and not self._over.is_set():  # noqa: ASYNC110  the SDK offers nothing to wait for
            await asyncio.sleep(0.05)

    def _transport(self, end: Callable[[], None]) -> AbstractAsyncContextManager[Any]:
        if self.config.command is None:
            self._remote = Remote(self.config, self._stored_login, is_sse=self._is_sse)
            return self._remote.open(end)
        self._process = ServerProcess(self.config, self._orphans, LastWords(secrets_of(self.config)))
        return open_stdio(self._process, end)

    async def _stored_login(self) -> Any:
        return await self._login(self.config.url or "").stored() if self._login is not None else None

    async def _serve(self) -> None:
        over, listed_anew = self._over, asyncio.Event()

        async def note(message: object) -> None:
            if isinstance(message, ToolListChangedNotification):
                listed_anew.set()

        def end() -> None:
            over.set()
            self._client = None
            self._offer()

        async with Client(self._transport(end), message_handler=note) as client:
            self._offer(await self._list(client))
            self._client, self.problem, self._told = client, None, None
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

    async def _list(self, client: Client) -> Offered:
        offered = await list_tools(client, self.config, self._remote_call)
        self.has_no_tools = not (offered.tools or offered.left_out)
        return offered

    async def _remote_call(self, name: str, arguments: JsonObject) -> str:
        text: str = await self._call_from(self.call(name, arguments))
        return text

    def _offer(self, offered: Offered = NOTHING) -> None:
        for sentence in offered.left_out:
            if sentence not in self._logged:
                self._logged.add(sentence)
                log.warning("%s", sentence)
        self.tools, self.left_out = offered.tools, offered.left_out
        self._changed()

    def _look_after(self, client: Client, over: asyncio.Event) -> None:
        if client is self._client and not over.is_set():
            self._looking = asyncio.get_running_loop().create_task(check_alive(client, over))


def start_limit_s(config: McpServerConfig) -> float:
    """Return how long a server may take to come up."""
    program = os.path.basename(config.command or "").lower().removesuffix(".cmd").removesuffix(".exe")  # noqa: PTH119
    return max(FETCH_S if program in FETCHING else START_S, config.timeout_s or 0)


async def hear_changes(client: Client, listed_anew: asyncio.Event) -> None:
    """Have a server of the newer protocol say when its tools change; older ones say so unasked."""
    try:
        async with client.listen(tools_list_changed=True) as changes:
            async for _ in changes:
                listed_anew.set()
    except Exception as error:  # noqa: BLE001  a server that cannot is listed at its next start
        log.debug("an MCP server does not tell of changes: %s", type(error).__name__)


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()


def secrets_of(config: McpServerConfig) -> list[str]:
    """Return what the file gives a server that may be a key."""
    return [value for name, value in config.env if SECRET.search(name.upper())] + [value for _, value in config.headers]
