"""The command line's `tools` group: where your tools stand, what they are, and how to try one."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.parts import parts_of_command
from proxy.cli.terminal import say, show

if TYPE_CHECKING:
    from proxy.services import Services
    from proxy.tools.execution import ToolExecution
    from proxy.tools.toolbox import Toolbox


@click.group()
def tools() -> None:
    """Write, list and try the tools the proxy runs for the model."""


@tools.command("path")
def show_path() -> None:
    """Show where your tools stand."""
    show(assembled().tools.file_path())


@tools.command("init")
def write_example() -> None:
    """Write a commented example to start from.

    A file that is there stays as it is.
    """
    from proxy.tools.example import EXAMPLE  # noqa: PLC0415  this command alone needs it

    path = assembled().tools.file_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write_new(path, EXAMPLE)
    except FileExistsError:
        show(f"{path} is there already; it stays as it is.", err=True)
        sys.exit(1)
    show(f"Written: {path}")


@tools.command("list")
def list_tools() -> None:
    """List the tools, and what is wrong with those that fail."""
    services = assembled()
    with opened(services.tools) as toolbox:
        asyncio.run(toolbox.settle())
        for tool in toolbox.registry.tools.values():
            say(f"{tool.name:31} {tool.source:18} {tool.description.partition(chr(10))[0]}")
        for sentence in (*toolbox.problems(), *toolbox.notes()):
            say(sentence, err=True)
    if not services.store.current.enable_tool_execution:
        show("Tools are off: no model is offered them before ENABLE_TOOL_EXECUTION is true.", err=True)


@tools.command("call")
@click.argument("name")
@click.argument("arguments", metavar="[JSON]", default="{}")
def call_tool(name: str, arguments: str) -> None:
    """Call a tool as the model would.

    Its arguments are given as a JSON object; the result is shown.
    """
    with opened(assembled().tools) as toolbox:
        record = asyncio.run(toolbox.try_call(name, arguments))
    show(record.result)
    if record.outcome != "ok":
        sys.exit(1)


@tools.command("login")
@click.argument("server")
def log_in(server: str) -> None:
    """Log in to an MCP server that asks for it.

    The page to open is shown; the login is kept in the keyring, and a running proxy uses it within a minute.
    """
    with opened(assembled().tools) as toolbox:
        try:
            count = asyncio.run(toolbox.log_in(server, lambda url: show(f"Open this page and log in: {url}")))
        except LookupError:
            show(f"mcp.json names no server {server!r} with a url.", err=True)
            sys.exit(1)
        except Exception as error:  # noqa: BLE001  the SDK, an extra, is not imported here
            show(f"The login did not work: {error}", err=True)
            sys.exit(1)
    show(f"Logged in: the server lists {count} tools.")


def assembled() -> "Services":
    """Return the parts, wired; raises SettingsBroken where nobody knows which tools the user has chosen."""
    services = parts_of_command(starts_anyway=False, runs_tools=True)
    services.chosen()
    return services


@contextmanager
def opened(execution: "ToolExecution") -> Iterator["Toolbox"]:
    """Yield the tools' machinery and stop it in the end."""
    try:
        yield execution.toolbox()
    finally:
        execution.stop()


def write_new(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all; raises FileExistsError, OSError."""
    path.touch(mode=0o600, exist_ok=False)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:
        path.unlink()  # half of it would be a broken file of tools
        raise
