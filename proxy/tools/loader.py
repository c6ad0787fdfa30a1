"""Load the user's function_tools.py: its public functions with type hints, or its TOOLS and execute_tool.

Loading runs the file, so it belongs in a worker thread.
"""

import codecs
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from proxy.tools.plain_form import Unclear, has_plain_form, read_plain_form
from proxy.tools.schema import tool_of
from proxy.tools.tool import NotATool, Tool, told_of

MODULE = "function_tools"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as PowerShell writes


class BrokenToolsFile(Exception):
    """Say which line of the file is wrong, and how."""


@dataclass(frozen=True)
class LoadedTools:
    """What a file holds."""

    tools: tuple[Tool, ...] = ()
    left_out: tuple[str, ...] = ()  # sentences: what looks like a tool and is none
    source: bytes = b""  # the file as it was read


def load_tools(path: Path, source: bytes | None = None) -> LoadedTools:
    """Run the file, or what it held before, and return its tools; raises BrokenToolsFile, whatever the file does."""
    module, source = run_file(path, source)
    try:
        tools, left_out = (read_plain_form if has_plain_form(module) else read_functions)(module, path.name)
    except Unclear as why:
        raise BrokenToolsFile(f"{path.name}: {why}") from why
    except BaseException as error:  # what is looked at are the user's own objects
        raise BrokenToolsFile(f"{where(error, path)}: {told_of(error)}") from error
    return LoadedTools(tuple(tools), tuple(left_out), source)


def run_file(path: Path, source: bytes | None) -> tuple[ModuleType, bytes]:
    """Run the file as a module of its own, and return what was run too; raises BrokenToolsFile."""
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module  # dataclasses look their module up there
    try:
        source = path.read_bytes() if source is None else source
        exec(compile(decoded(source), str(path), "exec"), module.__dict__)  # noqa: S102  the user's own file
    except BaseException as error:  # SystemExit too, and what a file makes up itself
        if before is None:
            del sys.modules[MODULE]
        else:
            sys.modules[MODULE] = before
        raise BrokenToolsFile(f"{where(error, path)}: {told_of(error)}") from error
    return module, source


def decoded(source: bytes) -> bytes | str:
    """Return the text of a file, as bytes where Python itself finds out how they are encoded."""
    return source.decode("utf-16") if source.startswith(UTF_16) else source


def where(error: BaseException, path: Path) -> str:
    """Return the file's name and the line of it on which an error arose."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{path.name}, line {line}" if line else path.name


def read_functions(module: ModuleType, source: str) -> tuple[list[Tool], list[str]]:
    """Return the tools a module's public functions are, and a sentence for each function that is none."""
    tools: list[Tool] = []
    left_out: list[str] = []
    for name, function in public_functions(module):
        try:
            tools.append(tool_of(function, source))
        except NotATool as reason:  # noqa: PERF203  each one stands for itself
            left_out.append(f"{name} is no tool: {reason}")
        except Exception as error:  # noqa: BLE001  its hints and defaults are the user's own objects
            left_out.append(f"{name} is no tool: {told_of(error)}")
    return tools, left_out


def public_functions(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    """Return the functions a module defines itself and shows: those of __all__, or those without an underscore.

    Raises Unclear where `__all__` is none: without it more would be shown than was meant.
    """
    shown = getattr(module, "__all__", None)
    if shown is not None and not (isinstance(shown, (list, tuple)) and all(isinstance(name, str) for name in shown)):
        raise Unclear("__all__ is no list of names")
    return [
        (name, value)
        for name, value in list(vars(module).items())
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and (name in shown if shown is not None else not name.startswith("_"))
    ]
