"""Read mcp.json: the `mcpServers` form other desktop programs use."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.tools.tool import JsonObject

VARIABLE = re.compile(r"\$\{(\w+)\}")
STREAMABLE = (None, "http", "streamable-http", "streamableHttp")
SERVER_NAME = re.compile(r"[\w .-]{1,60}")


class BrokenServersFile(Exception):
    """Say what is wrong with mcp.json, and where."""


@dataclass(frozen=True)
class McpServerConfig:
    """One server: a command to start, or a URL to ask."""

    name: str
    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cwd: str | None = None
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read_servers(path: Path) -> tuple[list[McpServerConfig], list[str]]:
    """Return the servers of the file, and a sentence for each entry that is none; raises BrokenServersFile."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenServersFile(f"{path.name} cannot be read: {error}") from error
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BrokenServersFile(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # numbers and depths that Python does not read
        raise BrokenServersFile(f"{path.name}: {error}") from error
    entries = value.get("mcpServers") if isinstance(value, dict) else None
    if not isinstance(entries, dict):
        raise BrokenServersFile(f"{path.name} holds no object named mcpServers")
    servers: list[McpServerConfig] = []
    problems: list[str] = []
    for name, entry in entries.items():
        if isinstance(entry, dict) and entry.get("disabled") is True:
            continue
        try:
            servers.append(read_server(name, entry))
        except ValueError as error:
            problems.append(f"{name!r} in {path.name} is no server: {error}")
    return servers, problems


def read_server(name: str, entry: Any) -> McpServerConfig:
    """Read one entry; raises ValueError."""
    if not SERVER_NAME.fullmatch(name):
        raise ValueError("its name must be made of letters, digits, spaces, dots, _ and -")
    if not isinstance(entry, dict):
        raise ValueError("it is no object")  # noqa: TRY004  one kind of error for all that is wrong with it
    if isinstance(entry.get("command"), str):
        return McpServerConfig(
            name,
            command=filled_in(entry["command"]),
            args=tuple(map(filled_in, texts(entry.get("args", ()), "args"))),
            env=pairs(entry.get("env"), "env"),
            cwd=entry["cwd"] if isinstance(entry.get("cwd"), str) else None,
        )
    url = entry.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError("it has neither a command nor an http(s) url")
    if entry.get("type", entry.get("transport")) not in STREAMABLE:
        raise ValueError("of the ways over the network only streamable HTTP is known")
    return McpServerConfig(name, url=filled_in(url), headers=pairs(entry.get("headers"), "headers"))


def texts(value: object, what: str) -> list[str]:
    """Return a list of texts; raises ValueError."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"its {what} are no list of texts")
    return list(value)


def pairs(value: JsonObject | None, what: str) -> tuple[tuple[str, str], ...]:
    """Return the members of an object of texts; raises ValueError."""
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(f"its {what} are no object of texts")
    return tuple((name, filled_in(text)) for name, text in value.items())


def filled_in(text: str) -> str:
    """Replace ${NAME} by the environment's value, so that no key need stand in the file."""
    return VARIABLE.sub(lambda match: os.environ.get(match[1], ""), text)
