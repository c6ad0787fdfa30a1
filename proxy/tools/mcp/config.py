"""Read mcp.json: the `mcpServers` form other desktop programs use. An entry that is wrong is left out alone."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from proxy.errors.configuration import SettingsFileWrong
from proxy.settings.file_text import FileText, read_content
from proxy.tools.mcp.variables import filled_in
from proxy.tools.tool import JsonObject

FillIn = Callable[[str], str]
Transport = Literal["stdio", "http", "sse"]
# What other programs call the ways to a server.
TRANSPORTS: dict[str, Transport] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamablehttp": "http",
    "sse": "sse",
}
MAX_NAME = 60
LEAST_MS = 10_000  # from here on a timeout is taken for milliseconds, as some programs write it
TWICE = object()  # stands for the value of a name that an object has twice: nobody knows which is meant


class BrokenServersFile(Exception):
    """Say what is wrong with mcp.json, and where."""


@dataclass(frozen=True)
class McpServerConfig:
    """One server: a command to start, or a URL to ask."""

    name: str
    transport: Transport = "stdio"
    command: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cwd: str | None = None
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float | None = None  # of one call; None: as the settings say
    only: frozenset[str] | None = None  # the tools that may be offered, None: all
    never: frozenset[str] = frozenset()  # the tools that may not

    def offers(self, tool: str) -> bool:
        """Tell whether the file lets a tool of this server be offered."""
        return (self.only is None or tool in self.only) and tool not in self.never


def read_servers(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[list[McpServerConfig], list[str]]:
    """Return the servers of the file, and a sentence for each entry that is none; raises BrokenServersFile.

    The variables that the file names are looked up in `environment`: also one of our keys, where the user wrote that.
    """
    try:
        content = read_content(path)
        text = FileText.of(content).text if content is not None else None
    except SettingsFileWrong as error:
        raise BrokenServersFile(f"{path.name} cannot be read: {error.detail}") from error
    except ValueError as error:
        raise BrokenServersFile(f"{path.name}, {error}") from error
    if text is None:
        return [], []
    try:
        value = json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise BrokenServersFile(f"{path.name}, line {error.lineno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # numbers and depths that Python does not read
        raise BrokenServersFile(f"{path.name}: {error}") from error
    entries = value.get("mcpServers") if isinstance(value, dict) else None
    if entries is TWICE:
        raise BrokenServersFile(f"{path.name} holds mcpServers twice")
    if not isinstance(entries, dict):
        raise BrokenServersFile(f"{path.name} holds no object named mcpServers")
    fill_in: FillIn = partial(filled_in, environment=environment)
    servers: list[McpServerConfig] = []
    problems: list[str] = []
    for name, entry in entries.items():
        try:
            if not is_disabled(entry):
                servers.append(read_server(name, entry, fill_in))
        except ValueError as error:  # noqa: PERF203  each one stands for itself
            problems.append(f"{name[:MAX_NAME]!r} in {path.name} is not started: {error}")
    return servers, problems


def members(pairs: list[tuple[str, Any]]) -> JsonObject:
    """Return an object; a name that stands in it twice has no value that could be meant."""
    value: JsonObject = {}
    for name, one in pairs:
        value[name] = TWICE if name in value else one
    return value


def is_disabled(entry: object) -> bool:
    """Tell whether an entry is switched off; raises ValueError where that is not clear."""
    if not isinstance(entry, dict):
        return False
    for word in ("disabled", "enabled"):
        if not isinstance(entry.get(word, False), bool):
            raise ValueError(f"its {word!r} must be true or false")  # noqa: TRY004  as below
    return entry.get("disabled") is True or entry.get("enabled") is False


def read_server(name: str, entry: Any, fill_in: FillIn) -> McpServerConfig:
    """Read one entry; raises ValueError."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"its name must be 1 to {MAX_NAME} printable characters")
    if entry is TWICE:
        raise ValueError("it stands in the file twice")
    if not isinstance(entry, dict):
        raise ValueError("it is no object")  # noqa: TRY004  one kind of error for all that is wrong with it
    transport = transport_of(entry)
    only = [
        set(texts(entry[word], word)) for word in ("enabledTools", "enabled_tools", "includeTools") if word in entry
    ]
    never = [texts(entry[word], word) for word in ("disabledTools", "disabled_tools", "excludeTools") if word in entry]
    config = McpServerConfig(
        name,
        transport,
        timeout_s=timeout_of(entry.get("timeout")),
        only=frozenset(set.intersection(*only)) if only else None,
        never=frozenset(tool for tools in never for tool in tools),
    )
    if transport == "stdio":
        return replace(
            config,
            command=fill_in(text_of(entry, "command")),
            args=tuple(map(fill_in, texts(entry.get("args", []), "args"))),
            env=pairs(entry.get("env"), "env", fill_in),
            cwd=fill_in(text_of(entry, "cwd")) if entry.get("cwd") is not None else None,
        )
    url = fill_in(text_of(entry, url_member(entry)))
    if not url.startswith(("http://", "https://")):
        raise ValueError("its url must begin with http:// or https://")
    return replace(config, url=url, headers=pairs(entry.get("headers"), "headers", fill_in))


def transport_of(entry: JsonObject) -> Transport:
    """Return how a server is reached; raises ValueError."""
    kind = entry.get("type", entry.get("transport"))
    if kind is None:
        if "command" not in entry and "url" not in entry and "serverUrl" not in entry and "httpUrl" not in entry:
            raise ValueError("it has neither a command nor a url")
        return "stdio" if "command" in entry else "http"
    transport = TRANSPORTS.get(kind.lower()) if isinstance(kind, str) else None
    if transport is None:
        raise ValueError("its type must be stdio, http or sse")
    return transport


def url_member(entry: JsonObject) -> str:
    """Return the name other programs give to the URL."""
    return next((word for word in ("url", "serverUrl", "httpUrl") if word in entry), "url")


def timeout_of(value: object) -> float | None:
    """Return a limit in seconds; raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 < value < math.inf):
        raise ValueError("its timeout must be a number of seconds above 0")
    return value / 1000 if value >= LEAST_MS else float(value)


def text_of(entry: JsonObject, what: str) -> str:
    """Return a member that is a text; raises ValueError."""
    value = entry.get(what)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"its {what} must be a text")
    return value


def texts(value: object, what: str) -> list[str]:
    """Return a list of texts; raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise ValueError(f"its {what} must be a list of texts")
    return list(value)


def pairs(value: object, what: str, fill_in: FillIn) -> tuple[tuple[str, str], ...]:
    """Return the members of an object of texts; raises ValueError."""
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(f"its {what} must be an object of texts")
    if any("\0" in text or "\0" in name or not name or "=" in name for name, text in value.items()):
        raise ValueError(f"its {what} hold a name or a value that cannot be passed on")
    return tuple((name, fill_in(text)) for name, text in value.items())
