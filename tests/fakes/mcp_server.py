"""An MCP server that does what a test needs: over stdio, HTTP (`--port`) or SSE (`--sse`); it can end itself."""

import asyncio
import os
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ImageContent, TextContent, ToolAnnotations

server = MCPServer("scripted")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def environment(name: str) -> str:
    """Tell a variable, or several on a line each."""
    return "\n".join(os.environ.get(each, "not set") for each in name.split())


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def fail() -> str:
    """Fail."""
    raise ToolError("it cannot be done")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def picture() -> list[TextContent | ImageContent]:
    """Show something."""
    return [TextContent(type="text", text="Look:"), ImageContent(type="image", data="aGk=", mime_type="image/png")]


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def wait() -> str:
    """Wait for long."""
    await asyncio.sleep(60)
    return "late"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def crash() -> str:
    """End the server in the middle of a call."""
    os._exit(3)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def grow(context: Context) -> str:
    """Offer one tool more, and say so as servers of both protocols do."""
    server.add_tool(lambda: "new", name="grown", description="Be new.")
    await context.notify_tools_changed()
    await context.session.send_tool_list_changed()
    return "grown"


@server.tool(name="a" * 80, annotations=ToolAnnotations(read_only_hint=True))
def long_name() -> str:
    """Have a long name."""
    return "long"


if __name__ == "__main__":
    if "--sse" in sys.argv:
        server.run("sse", host="127.0.0.1", port=int(sys.argv[-1]))
    elif "--port" in sys.argv:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[-1]))
    else:
        server.run("stdio")
