"""Which tools are switched off, for whom, and what each adds to a request. Imports nothing of the machinery."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from proxy.errors.configuration import SettingError
from proxy.tools.tool import Tool

Switches = Mapping[str, Sequence[str]]  # patterns of tools by patterns of clients

EVERYBODY = "*"
BYTES_A_TOKEN = 4  # of English and JSON, about


@dataclass(frozen=True)
class Cost:
    """What definitions add to the body of each request they are offered with."""

    size_bytes: int
    tokens: int  # estimated


def is_off(switches: Switches, tool: str, names: Sequence[str | None]) -> bool:
    """Tell whether a tool is switched off for a client of these names: what it calls itself, and its proxy key's."""
    return any(tool_fits(patterns, tool) for client, patterns in switches.items() if client_fits(client, names))


def off_for(switches: Switches, tool: str) -> list[str]:
    """Return the clients for whom a tool is switched off, as the settings name them."""
    return [client for client, patterns in switches.items() if tool_fits(patterns, tool)]


def turned(switches: Switches, tool: str, client: str, *, on: bool) -> dict[str, list[str]]:
    """Return the switches with a tool turned on or off for a client; raises SettingError where a pattern forbids it."""
    before = list(switches.get(client, ()))
    names = [name for name in before if name != tool] + ([] if on else [tool])
    if on and tool_fits(names, tool):
        pattern = next(name for name in names if fnmatchcase(tool, name))
        raise SettingError(f"TOOL_OFF switches {tool} off by the pattern {pattern!r}; change it in the settings")
    others = {other: list(patterns) for other, patterns in switches.items() if other != client}
    return {**others, client: names} if names else others


def cost_of(*tools: Tool) -> Cost:
    """Return what the definitions of tools add to a chat request."""
    size = sum(len(json.dumps(definition(tool), separators=(",", ":"))) + 1 for tool in tools)
    return Cost(size, -(-size // BYTES_A_TOKEN))


def definition(tool: Tool) -> dict[str, object]:
    """Return a tool's definition as the Chat API has it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def tool_fits(patterns: Sequence[str], tool: str) -> bool:
    """Tell whether one of the patterns is a tool's."""
    return any(fnmatchcase(tool, pattern) for pattern in patterns)


def client_fits(pattern: str, names: Sequence[str | None]) -> bool:
    """Tell whether a pattern is a client's, in any letter case and with any version."""
    folded = pattern.lower()
    return folded == EVERYBODY or any(
        fnmatchcase(known, folded) for name in names if name for known in (name.lower(), name.lower().partition("/")[0])
    )
