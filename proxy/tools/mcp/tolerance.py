"""Answers of servers in the form the SDK reads: for one odd tool in a list it would refuse the list."""

from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from proxy.tools.tool import JsonObject

GIVEN = "x-schema-as-given"  # a schema the SDK would refuse, within one it takes
WRONG = "x-no-tool"  # why an entry is none
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def mended(message: Any) -> Any:
    """Return a message from a server; a list of tools and a result of a call are put in the form the SDK reads."""
    answer = message.message if isinstance(message, SessionMessage) else None
    if not isinstance(answer, JSONRPCResponse):
        return message
    result = answer.result
    if isinstance(result.get("tools"), list):
        result["tools"] = [mended_tool(number, tool) for number, tool in enumerate(result["tools"], start=1)]
        for name, kind in (("nextCursor", str), ("_meta", dict)):
            if not isinstance(result.get(name), kind):
                result.pop(name, None)
    elif isinstance(result.get("content"), str):
        result["content"] = [{"type": "text", "text": result["content"]}]
    elif "structuredContent" in result:
        result.setdefault("content", [])
    return message


def mended_tool(number: int, tool: Any) -> JsonObject:
    """Return an entry of a list of tools. What it says of its results is left out: the model has them as they are."""
    name = tool.get("name") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(name, str):
        return {"name": f"number {number}", "inputSchema": {"type": "object", WRONG: "it has no name"}}
    kept: JsonObject = {"name": name, "inputSchema": mended_schema(tool.get("inputSchema"))}
    kept |= {word: tool[word] for word in ("title", "description") if isinstance(tool.get(word), str)}
    if isinstance(annotations := tool.get("annotations"), dict):
        kept["annotations"] = {hint: annotations[hint] for hint in HINTS if isinstance(annotations.get(hint), bool)}
    return kept


def mended_schema(schema: Any) -> JsonObject:
    """Return a schema the SDK takes; another one stands within it."""
    if schema is None:
        return {"type": "object"}
    if not isinstance(schema, dict):
        return {"type": "object", WRONG: "its schema is no object"}
    properties, required = schema.get("properties", {}), schema.get("required", [])
    is_plain = (
        schema.get("type") == "object"
        and isinstance(properties, dict)
        and all(isinstance(each, dict) for each in properties.values())
        and isinstance(required, list)
        and all(isinstance(each, str) for each in required)
    )
    return schema if is_plain else {"type": "object", GIVEN: schema}


def given_schema(schema: JsonObject) -> JsonObject:
    """Return a tool's schema as the server gave it."""
    given = schema.get(GIVEN)
    return given if isinstance(given, dict) else schema
