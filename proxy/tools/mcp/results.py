"""What a server's tools and results are to the model."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource, ImageContent, TextContent
from mcp_types import Tool as ServerTool

from proxy.tools.defined import check_for
from proxy.tools.mcp.schemas import normalised
from proxy.tools.mcp.tolerance import WRONG, given_schema
from proxy.tools.rich_result import RichResult
from proxy.tools.tool import CallFailed, JsonObject, NotATool, Tool

FAILURE_LIMIT = 2_000  # characters; some servers send a traceback
DESCRIPTION_LIMIT = 8_000  # characters
MAX_MEDIA_BYTES = 8_388_608  # of the images and files of one result, as base64
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif")  # what models are shown

Call = Callable[[str, JsonObject], Awaitable[str]]


def tool_of(server: str, name: str, tool: ServerTool, call: Call) -> Tool:
    """Return the tool a server offers, under its full name; raises NotATool."""
    if isinstance(wrong := tool.input_schema.get(WRONG), str):
        raise NotATool(wrong)
    given = given_schema(tool.input_schema)
    parameters = normalised(given)
    try:
        arguments_of = check_for(given)
    except NotATool:  # wrong somewhere, and mended
        arguments_of = check_for(parameters)
    else:
        check_for(parameters)

    def invoke(arguments: str) -> Awaitable[str]:
        return call(tool.name, arguments_of(arguments))

    is_read_only = tool.annotations is not None and tool.annotations.read_only_hint is True
    return Tool(
        name,
        shortened(tool.description or tool.title or "", DESCRIPTION_LIMIT),
        parameters,
        invoke,
        is_async=True,
        source=server,
        is_trusted=is_read_only,
        keeps_time=True,
    )


def text_of(result: CallToolResult, limit_bytes: int) -> str:
    """Return a result as text, with the images and files in it beside; what is neither is named.

    Raises CallFailed for a failure the server reports.
    """
    media: list[JsonObject] = []
    left = MAX_MEDIA_BYTES
    words: list[str] = []
    for part in result.content:
        one = None if result.is_error else medium(part)
        if one is not None and (size := size_of(one)) <= left:
            left -= size
            media.append(one)
        words.append(part.text if isinstance(part, TextContent) else described(part))
    text = "\n".join(words)
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    if result.is_error:
        raise CallFailed("failed", shortened(text, FAILURE_LIMIT) or "The tool failed.")
    text = cut(text, limit_bytes)
    return RichResult(text, media) if media else text


def medium(part: Any) -> JsonObject | None:
    """Return what a part is in the form of the Responses API's inputs, None where it has no such form."""
    if isinstance(part, ImageContent):
        return image(part.mime_type, part.data)
    resource = part.resource if isinstance(part, EmbeddedResource) else None
    if not isinstance(resource, BlobResourceContents):
        return None
    if resource.mime_type == "application/pdf":
        name = str(resource.uri).rpartition("/")[2] or "file.pdf"
        return {
            "type": "input_file",
            "filename": name[:100],
            "file_data": f"data:application/pdf;base64,{resource.blob}",
        }
    return image(resource.mime_type, resource.blob)


def image(kind: str | None, data: str) -> JsonObject | None:
    """Return an image as the Responses API takes it, None for a kind that models are not shown."""
    if kind not in IMAGES:
        return None
    return {"type": "input_image", "image_url": f"data:{kind};base64,{data}", "detail": "auto"}


def size_of(one: JsonObject) -> int:
    """Return how many bytes the data of an image or a file takes."""
    return sum(len(one[name]) for name in ("image_url", "file_data") if name in one)


def described(part: Any) -> str:
    """Say what a part is that is no text; a resource's text is passed on."""
    resource = getattr(part, "resource", None)
    text = getattr(resource, "text", None)
    if isinstance(text, str):
        return text
    kind = getattr(part, "mime_type", None) or getattr(resource, "mime_type", None)
    place = getattr(part, "uri", None) or getattr(resource, "uri", None)
    return f"[{' '.join(str(word)[:500] for word in (part.type, kind, place) if word)}]"


def cut(text: str, limit_bytes: int) -> str:
    """Return a text within a limit; what is missing is said at its end."""
    content = text.encode("utf-8", "surrogatepass")
    if len(content) <= limit_bytes:
        return text
    mark = f"\n[cut: {{:,}} of {len(content):,} bytes are missing]"
    kept = content[: max(0, limit_bytes - len(mark) - 10)].decode("utf-8", "ignore")
    return kept + mark.format(len(content) - len(kept.encode("utf-8", "surrogatepass")))


def shortened(text: str, limit: int) -> str:
    """Return a text of at most so many characters, with a mark where it was longer."""
    return text if len(text) <= limit else f"{text[:limit]} [{len(text) - limit:,} more characters]"
