"""What fills a prompt: the bytes and roughly the tokens of its system text, tools, history, results and media."""

import json
from typing import Any

from proxy.capture.conversation import Message, Part

BYTES_PER_TOKEN = 4
KINDS = ("system", "tools", "history", "results", "last", "media")
SYSTEM_ROLES = ("system", "developer")


def filling(fields: dict[str, Any], messages: list[Message], input_tokens: int | None) -> list[dict[str, Any]]:
    """Return the share of each kind; where the upstream counted, the tokens of the texts add up to its count.

    What media cost depends on the model: their tokens are None, and with them in it nothing is scaled.
    """
    sizes = dict.fromkeys(KINDS, 0)
    tools = fields.get("tools") or fields.get("functions")
    sizes["tools"] = size_of(tools) if tools else 0
    asked = [each for each in messages if each["from"] == "request"]
    last = max((place for place, each in enumerate(asked) if each["role"] == "user"), default=len(asked))
    for place, each in enumerate(asked):
        kind = "system" if each["role"] in SYSTEM_ROLES else "last" if place >= last else "history"
        for part in each["parts"]:
            add(sizes, kind, part)
    text_bytes = sum(size for kind, size in sizes.items() if kind != "media")
    is_scaled = input_tokens is not None and not sizes["media"] and text_bytes
    factor = input_tokens / text_bytes if is_scaled and input_tokens else 1 / BYTES_PER_TOKEN
    return [
        {"what": kind, "bytes": size, "tokens": None if kind == "media" else round(size * factor)}
        for kind, size in sizes.items()
        if size
    ]


def add(sizes: dict[str, int], kind: str, part: Part) -> None:
    """Count a part where it belongs."""
    if part["type"] == "tool_result":
        for inner in part["parts"]:
            add(sizes, "results", inner)
    elif "media" in part:
        sizes["media"] += part["bytes"]
    else:
        texts = (part.get(name) for name in ("text", "arguments", "name", "url"))
        sizes[kind] += sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))


def size_of(value: Any) -> int:
    """Return the bytes of a value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
