"""Make a tool of a Python function: its type hints become the schema its arguments are checked against."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from proxy.tools.docstrings import read_docstring
from proxy.tools.tool import CallFailed, JsonObject, NotATool, Tool

DATA_KEYS = frozenset({"const", "default", "enum", "examples"})  # what stands below is data, no schema
PROBLEMS_TOLD = 3
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

    def invoke(arguments: str) -> Any:
        checked = check_arguments(model, arguments)
        values = {name: getattr(checked, field) for field, name in field_names(parameters).items()}
        positional = [values.pop(p.name) for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        return function(*positional, **values)

    is_async = inspect.iscoroutinefunction(function)
    return Tool(function.__name__, description, schema, invoke, is_async=is_async, source=source)


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


def check_arguments(model: type[BaseModel], arguments: str) -> BaseModel:
    """Return the checked arguments; raises CallFailed."""
    try:
        return model.model_validate_json(arguments or "{}")
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = [": ".join(filter(None, (".".join(map(str, p["loc"])), p["msg"]))) for p in problems[:PROBLEMS_TOLD]]
        raise CallFailed("bad arguments", "The arguments do not fit. " + "; ".join(told)) from error


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
