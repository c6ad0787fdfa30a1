"""The tools a server lists: each offered under a name of its own, or left out with a reason."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from mcp import Client, MCPError
from mcp_types import METHOD_NOT_FOUND
from mcp_types import Tool as ServerTool

from proxy.logs.redaction import escape
from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.names import full_names
from proxy.tools.mcp.results import Call, tool_of
from proxy.tools.tool import NotATool, Tool

MAX_PAGES = 50
MAX_TOOLS = 500
UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
MAX_TOLD = 20  # of the tools that are left out, those that are named


@dataclass(frozen=True)
class Offered:
    """What a server offers, and a sentence for each tool that is left out."""

    tools: tuple[Tool, ...] = ()
    left_out: tuple[str, ...] = ()


NOTHING = Offered()


async def list_tools(client: Client, config: McpServerConfig, call: Call) -> Offered:
    """Return the tools the file lets a server offer; raises MCPError."""
    found: dict[str, ServerTool] = {}
    try:
        async for tool in listed(client):
            if config.offers(tool.name):
                found.setdefault(tool.name, tool)  # one that is listed twice is one
    except MCPError as error:
        if error.error.code != METHOD_NOT_FOUND and client.server_capabilities.tools is not None:
            raise
        return NOTHING  # it has prompts or resources alone
    return offered_of(found, config.name, call)


def offered_of(found: dict[str, ServerTool], server: str, call: Call) -> Offered:
    """Return each tool under its full name, or the reason why it is none."""
    tools: list[Tool] = []
    left_out: list[str] = []
    for raw_name, name in full_names(server, list(found)[:MAX_TOOLS]).items():
        try:
            tools.append(tool_of(server, name, found[raw_name], call))
        except NotATool as reason:  # noqa: PERF203  each one stands for itself
            left_out.append(f"The tool {shown(raw_name)} of the MCP server {server} is left out: {reason}")
        except UNFORESEEN as error:  # one odd tool never takes the others with it
            why = f"its schema cannot be read ({type(error).__name__})"
            left_out.append(f"The tool {shown(raw_name)} of the MCP server {server} is left out: {why}")
    if (more := len(left_out) - MAX_TOLD) > 0:
        left_out[MAX_TOLD:] = [f"{more} more tools of the MCP server {server} are left out"]
    if len(found) > MAX_TOOLS:
        left_out.append(f"The MCP server {server} offers {len(found)} tools; the first {MAX_TOOLS} are used")
    return Offered(tuple(tools), tuple(left_out))


async def listed(client: Client) -> AsyncIterator[ServerTool]:
    """Yield all tools of a server."""
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        for tool in page.tools:
            yield tool
        cursor = page.next_cursor
        if cursor is None:
            return


def shown(name: str) -> str:
    """Return a tool's own name as a text that is safe to show."""
    return repr(escape(name)[:64])
