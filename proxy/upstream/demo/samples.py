"""Values that fit a JSON schema: the first of an enum, 1, true, and the words one is given."""

from collections.abc import Iterator

from proxy.upstream.demo.body import JsonObject, read_nested, read_objects

DEPTH_LIMIT = 8
FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T12:00:00Z",
    "email": "demo@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample_value(schema: object, words: Iterator[str]) -> object:
    """Return a value for a schema; a free string takes the next of `words`, and "demo" after the last."""
    root = read_nested(schema)
    return _sample(root, root, words, DEPTH_LIMIT)


def _sample(schema: JsonObject, root: JsonObject, words: Iterator[str], depth: int) -> object:
    schema = _resolve(schema, root)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = _kind(schema)
    if kind == "object":
        return _sample_object(schema, root, words, depth)
    if kind == "array":
        items = _sample(read_nested(schema.get("items")), root, words, depth - 1) if depth else None
        return [] if items is None else [items]
    if kind in {"integer", "number"}:
        return _sample_number(schema)
    if kind in {"boolean", "null"}:
        return True if kind == "boolean" else None
    return FORMATS.get(str(schema.get("format"))) or next(words, "demo")


def _sample_object(schema: JsonObject, root: JsonObject, words: Iterator[str], depth: int) -> JsonObject:
    properties = read_nested(schema.get("properties"))
    required = schema.get("required")
    # A schema that demands nothing would otherwise be answered with nothing, which shows nothing.
    names = [name for name in required if name in properties] if isinstance(required, list) and required else properties
    return {name: _sample(read_nested(properties[name]), root, words, depth - 1) for name in names} if depth else {}


def _sample_number(schema: JsonObject) -> object:
    bounds = [schema.get(name) for name in ("minimum", "maximum")]
    low, high = (bound if isinstance(bound, (int, float)) else None for bound in bounds)
    if low is not None and low > 1:
        return low
    return high if high is not None and high < 1 else 1


def _kind(schema: JsonObject) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((name for name in kind if name != "null"), "null")
    return kind or ("object" if "properties" in schema else "string")


def _resolve(schema: JsonObject, root: JsonObject) -> JsonObject:
    for _ in range(DEPTH_LIMIT):
        alternatives = [
            choice
            for name in ("anyOf", "oneOf", "allOf")
            for choice in read_objects(schema.get(name))
            if choice.get("type") != "null"
        ]
        if "$ref" in schema:
            schema = _look_up(str(schema["$ref"]), root)
        elif alternatives:
            schema = alternatives[0]
        else:
            return schema
    return {}


def _look_up(reference: str, root: JsonObject) -> JsonObject:
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = read_nested(found).get(step) if step else found
    return read_nested(found)
