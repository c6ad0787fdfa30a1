"""Make a tool of a Python function: its type hints become the schema its arguments are checked against."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from proxy.tools.arguments import NONE_GIVEN
from proxy.tools.docstrings import read_docstring
from proxy.tools.tool import CallFailed, JsonObject, NotATool, Tool

DATA_KEYS = frozenset({"const", "default", "enum", "examples"})  # what stands below is data, no schema
PROBLEMS_TOLD = 3
TIMES = ("date_type", "datetime_type", "time_type", "time_delta_type")
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class QuietSchema(GenerateJsonSchema):
    """Write schemas without a warning where a default has no JSON form: the model need not know it."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  as pydantic declares it


def tool_of(function: Callable[..., Any], source: str) -> Tool:
    """Return the tool a function is; raises NotATool."""
    parameters = list(inspect.signature(function).parameters.values())
    description, meanings = read_docstring(function)
    model = argument_model(function, parameters, meanings)
    try:
        schema = without_titles(model.model_json_schema(schema_generator=QuietSchema))
    except PydanticUserError as error:
        raise NotATool(f"its type hints have no JSON schema ({first_line(error)})") from error

    takes_any = any(part.get("additionalProperties") for part in schema.get("$defs", {}).values())

    def invoke(arguments: str) -> Any:
        checked = check_arguments(model, arguments or NONE_GIVEN, takes_any=takes_any)
        values = {name: getattr(checked, field) for field, name in field_names(parameters).items()}
        positional = [values.pop(p.name) for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        return function(*positional, **values)

    is_async = inspect.iscoroutinefunction(function)
    return Tool(function.__name__, description, schema, invoke, is_async=is_async, source=source, may_block=True)


def argument_model(
    function: Callable[..., Any], parameters: list[inspect.Parameter], meanings: dict[str, str]
) -> type[BaseModel]:
    """Return the pydantic model of a function's arguments; raises NotATool."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise NotATool(f"its type hints cannot be read ({first_line(error)})") from error
    fields: dict[str, Any] = {}
    for field, parameter in zip(field_names(parameters), parameters, strict=True):
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise NotATool(f"{parameter} stands for any number of arguments")
        if parameter.name not in hints:
            raise NotATool(f"its argument {parameter.name} has no type hint")
        fields[field] = (hints[parameter.name], field_of(parameter, hints[parameter.name], meanings))
    if not hints:
        raise NotATool("it has no type hints")
    try:
        return create_model("Arguments", __config__=STRICT, **fields)
    except (PydanticUserError, TypeError) as error:
        raise NotATool(f"its type hints have no JSON schema ({first_line(error)})") from error


def field_names(parameters: list[inspect.Parameter]) -> dict[str, str]:
    """Return the arguments' names below names of our own: pydantic keeps some for itself."""
    return {f"argument_{number}": parameter.name for number, parameter in enumerate(parameters)}


def field_of(parameter: inspect.Parameter, hint: object, meanings: dict[str, str]) -> Any:
    """Return a field's name, default and description; a description in the hint itself is kept."""
    default: Any = ... if parameter.default is inspect.Parameter.empty else parameter.default
    meaning = meanings.get(parameter.name)
    if not meaning or get_origin(hint) is Annotated:
        return Field(default, alias=parameter.name)
    return Field(default, alias=parameter.name, description=meaning)


def check_arguments(model: type[BaseModel], arguments: str, *, takes_any: bool) -> BaseModel:
    """Return the checked arguments; raises CallFailed. `takes_any`: a type of the user's own keeps unknown members."""
    check = partial(model.model_validate_json, arguments, extra=None if takes_any else "forbid")
    try:
        return check(strict=True)
    except ValidationError as error:
        changed = [problem for problem in error.errors(include_url=False) if is_change(problem)]
    try:
        checked = check()
    except ValidationError as error:
        raise misfit(error.errors(include_url=False)) from error
    if changed:
        raise misfit(changed)
    return checked


def is_change(problem: ErrorDetails) -> bool:
    """Tell whether what is wrong to strict eyes alone would give the function something else than the model gave.

    "5" for a 5 does not. true for a 1 does, and so does a number for a date: it is taken for seconds since 1970.
    """
    given = problem["input"]
    return isinstance(given, bool) or (isinstance(given, (int, float)) and problem["type"] in TIMES)


def misfit(problems: list[ErrorDetails]) -> CallFailed:
    """Return what the model is told of arguments that do not fit."""
    told = [": ".join(filter(None, (".".join(map(str, p["loc"])), p["msg"]))) for p in problems[:PROBLEMS_TOLD]]
    return CallFailed("bad arguments", "The arguments do not fit. " + "; ".join(told))


def without_titles(node: Any) -> Any:
    """Return a schema without the titles pydantic adds: they repeat the names and cost tokens."""
    if isinstance(node, list):
        return [without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept: JsonObject = {}
    for key, value in node.items():
        if key != "title" or not isinstance(value, str):
            kept[key] = value if key in DATA_KEYS else without_titles(value)
    return kept


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).partition("\n")[0]
