"""Check the arguments of tools that bring their own JSON schema: the plain form of function_tools.py, MCP servers."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from proxy.tools.tool import CallFailed, JsonObject, NotATool

ANY_OBJECT: JsonObject = {"type": "object", "properties": {}}
MESSAGE_LIMIT = 200
# A pattern of a stranger's can keep Python's matcher busy for hours, and nothing else runs meanwhile.
UNCHECKED = ("pattern", "patternProperties")

Check = Callable[[str], JsonObject]


def check_for(schema: JsonObject) -> Check:
    """Return what turns a call's JSON text into its arguments or raises CallFailed; raises NotATool itself."""
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (SchemaError, Unresolvable) as error:
        raise NotATool(f"its schema is wrong ({error.__class__.__name__})") from error
    lenient = extend(kind, dict.fromkeys(UNCHECKED, lambda *_: ()))  # type: ignore[no-untyped-call]  # a gap in its stubs
    # A registry of our own: a $ref to another computer is an error, nothing is fetched.
    return partial(check, lenient(schema, registry=Registry()))


def check(validator: Any, arguments: str) -> JsonObject:
    """Return the arguments, checked; raises CallFailed."""
    try:
        value = json.loads(arguments or "{}")
        problem = best_match(validator.iter_errors(value))
    except (ValueError, RecursionError, Unresolvable) as error:
        raise CallFailed("bad arguments", f"The arguments cannot be read ({type(error).__name__}).") from error
    if problem is not None or not isinstance(value, dict):
        where = f"{problem.json_path.removeprefix('$.')}: " if problem and problem.path else ""
        said = problem.message if problem else "an object is expected"
        raise CallFailed("bad arguments", f"The arguments do not fit. {where}{said[:MESSAGE_LIMIT]}")
    return value
