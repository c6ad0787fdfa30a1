"""Reading the demo's JSON bodies: what is missing or of the wrong kind becomes OpenAI's 400."""

import json
from typing import Any, NoReturn

from proxy.upstream.demo.asgi import Document, Request
from proxy.upstream.demo.problems import DemoRefusal

JsonObject = dict[str, Any]


def read_object(request: Request) -> JsonObject:
    """Return the body of a request as a JSON object."""
    try:
        value = json.loads(request.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DemoRefusal("We could not parse the JSON body of your request: it must be one JSON object.")
    return value


def read_model(body: JsonObject) -> str:
    """Return the model asked for; the demo takes any name."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise DemoRefusal("you must provide a model parameter", param="model")
    return model


def read_count(body: JsonObject, name: str, *, default: int, most: int) -> int:
    """Return a whole number from 1 to `most`, or the default where it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise DemoRefusal(f"Invalid '{name}': expected an integer from 1 to {most}.", param=name, code="invalid_value")
    return value


def read_objects(value: object) -> list[JsonObject]:
    """Return the objects of a list, and nothing of what is not one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def read_nested(value: object) -> JsonObject:
    """Return the value if it is an object, and an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def read_strings(value: object) -> list[str]:
    """Return a string, or the strings of a list, as a list."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def json_document(value: JsonObject) -> Document:
    """Return a JSON answer."""
    return Document(json.dumps(value).encode())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
