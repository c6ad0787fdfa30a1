"""The plain form of function_tools.py: TOOLS holds definitions as the OpenAI API has them, execute_tool runs them."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from proxy.tools.tool import JsonObject, NotATool, Tool, told_of


class Unclear(Exception):
    """Say why a file leaves open which of its functions are tools: then none is."""


def has_plain_form(module: ModuleType) -> bool:
    """Tell whether a module is written in the plain form; raises Unclear where half of it is missing or wrong.

    Taken for the other form, it would offer every function that was written to help.
    """
    names = vars(module)
    if "TOOLS" not in names and "execute_tool" not in names:
        return False
    if not isinstance(names.get("TOOLS"), (list, tuple)):
        raise Unclear("it has execute_tool, and its TOOLS is no list" if "TOOLS" not in names else "TOOLS is no list")
    if not callable(names.get("execute_tool")):
        raise Unclear("it has TOOLS, and no function execute_tool")
    return True


def read_plain_form(module: ModuleType, source: str) -> tuple[list[Tool], list[str]]:
    """Return the tools of a module, and a sentence for each definition that is none."""
    tools: list[Tool] = []
    left_out: list[str] = []
    for number, definition in enumerate(module.TOOLS, start=1):
        try:
            tools.append(defined_tool(definition, module.execute_tool, source))
        except NotATool as reason:  # noqa: PERF203  each one stands for itself
            left_out.append(f"definition {number} of TOOLS is no tool: {reason}")
        except Exception as error:  # noqa: BLE001  definitions are the user's own objects
            left_out.append(f"definition {number} of TOOLS is no tool: {told_of(error)}")
    return tools, left_out


def defined_tool(definition: object, execute: Callable[[str, JsonObject], Any], source: str) -> Tool:
    """Return the tool of one definition; raises NotATool."""
    function = definition.get("function", definition) if isinstance(definition, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise NotATool("it has no function with a name")
    from proxy.tools.defined import ANY_OBJECT, check_for  # noqa: PLC0415  10 MB, which the other form does not need

    name: str = function["name"]
    parameters = function.get("parameters") or ANY_OBJECT
    if not isinstance(parameters, dict):
        raise NotATool("its parameters are no JSON schema")
    arguments_of = check_for(parameters)

    def invoke(arguments: str) -> Any:
        return execute(name, arguments_of(arguments))

    return Tool(
        name,
        str(function.get("description") or ""),
        parameters,
        invoke,
        is_async=inspect.iscoroutinefunction(execute),
        source=source,
        may_block=True,
    )
