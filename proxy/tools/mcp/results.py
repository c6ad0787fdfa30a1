"""What a server's tools and results are to the model."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import CallToolResult, TextContent
from mcp_types import Tool as ServerTool

from proxy.tools.defined import check_for
from proxy.tools.tool import CallFailed, JsonObject, Tool

NAME_LIMIT = 64
HASH_LENGTH = 8
FAILURE_LIMIT = 2_000  # some servers send a traceback

Call = Callable[[str, JsonObject], Awaitable[str]]


def tool_of(server: str, tool: ServerTool, call: Call) -> Tool:
    """Return the tool a server offers; raises NotATool."""
    arguments_of = check_for(tool.input_schema)

    def invoke(arguments: str) -> Awaitable[str]:
        return call(tool.name, arguments_of(arguments))

    is_read_only = tool.annotations is not None and tool.annotations.read_only_hint is True
    return Tool(
        full_name(server, tool.name),
        tool.description or tool.title or "",
        tool.input_schema,
        invoke,
        is_async=True,
        source=server,
        is_trusted=is_read_only,
    )


def full_name(server: str, tool: str) -> str:
    """Return `server__tool` in the letters a name may have, cut with a mark of its own where it is too long."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}__{tool}")
    if len(name) <= NAME_LIMIT:
        return name
    mark = hashlib.sha256(f"{server}__{tool}".encode()).hexdigest()[:HASH_LENGTH]
    return f"{name[: NAME_LIMIT - HASH_LENGTH - 1]}_{mark}"


def text_of(result: CallToolResult) -> str:
    """Return a result as text; what is no text is named. Raises CallFailed for a failure the server reports."""
    parts = [part.text if isinstance(part, TextContent) else described(part) for part in result.content]
    text = "\n".join(parts)
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content)
    if result.is_error:
        raise CallFailed("failed", text[:FAILURE_LIMIT] or "The tool failed.")
    return text


def described(part: Any) -> str:
    """Say what a part is that the model cannot be handed as text; a resource's text is passed on."""
    resource = getattr(part, "resource", None)
    text = getattr(resource, "text", None)
    if isinstance(text, str):
        return text
    kind = getattr(part, "mime_type", None) or getattr(resource, "mime_type", None)
    place = getattr(part, "uri", None) or getattr(resource, "uri", None)
    return f"[{' '.join(str(word) for word in (part.type, kind, place) if word)}]"
