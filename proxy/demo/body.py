"""Read the demo's JSON bodies: what is missing or of the wrong kind becomes the API's 400."""

import json
from typing import Any, NoReturn

JsonObject = dict[str, Any]
MAX_TOKENS = 1_000_000


class Refusal(Exception):
    """Refuse a request with an error object of the API."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


def missing(name: str) -> Refusal:
    """Return the refusal of a request that lacks a parameter."""
    return Refusal(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def read_object(data: bytes) -> JsonObject:
    """Return a body as a JSON object; raises Refusal."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refusal("We could not parse the JSON body of your request: it must be one JSON object.")
    return value


def read_model(body: JsonObject) -> str:
    """Return the model asked for; the demo takes any name. Raises Refusal."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise missing("model")
    return model


def read_count(body: JsonObject, name: str, most: int = MAX_TOKENS) -> int | None:
    """Return a whole number from 1 to `most`, None where it is absent or null; raises Refusal."""
    value = body.get(name)
    if value is not None and (type(value) is not int or not 1 <= value <= most):
        raise Refusal(f"Invalid '{name}': expected an integer from 1 to {most}.", param=name, code="invalid_value")
    return value


def read_nested(value: object) -> JsonObject:
    """Return the value if it is an object, and an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def read_objects(value: object) -> list[JsonObject]:
    """Return the objects of a list, and nothing of what is not one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
