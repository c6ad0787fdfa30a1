"""A server's schema as strict upstreams take it: an object with properties, arrays with items, nothing open at the top.

One schema that an upstream refuses makes it refuse the whole request, so what can be mended is, and what cannot is left
out. The server itself still holds the arguments against its own schema.
"""

import json
from collections.abc import Iterator
from typing import Any

from proxy.tools.tool import JsonObject, NotATool

MAX_DEPTH = 40
MAX_BYTES = 65_536
MAX_PARTS = 200  # alternatives at the top; one that names another twice doubles with each step
# Kinds that are no JSON Schema and yet common, by what they mean.
KINDS = {
    **dict.fromkeys(("str", "text", "date", "datetime"), "string"),
    **dict.fromkeys(("int", "long"), "integer"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    "bool": "boolean",
    **dict.fromkeys(("dict", "map", "record"), "object"),
    **dict.fromkeys(("list", "tuple", "set"), "array"),
    "none": "null",
}
KNOWN_KINDS = frozenset(("string", "integer", "number", "boolean", "object", "array", "null"))
OPEN = ("anyOf", "oneOf", "allOf")
AT_TOP = frozenset((*OPEN, "not", "if", "then", "else", "enum", "const", "$ref", "$schema", "$id", "id", "nullable"))
BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
IN_LIST = (*OPEN, "prefixItems")
SINGLE = ("not", "if", "then", "else", "contains", "propertyNames")
OPEN_ENDED = ("additionalProperties", "unevaluatedProperties", "additionalItems", "unevaluatedItems")
# What a keyword must be, by kind; one that is something else says nothing and is left out.
MUST_BE: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("title", "description", "format", "pattern", "$comment", "contentEncoding"), str),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), int),
    **dict.fromkeys(("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"), (int, float)),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), bool),
    **dict.fromkeys(("enum", "examples", "required", *IN_LIST), list),
    **dict.fromkeys((*BY_NAME, "dependentRequired"), dict),
}


def normalised(schema: JsonObject) -> JsonObject:
    """Return the schema of a tool's arguments in a form every upstream takes; raises NotATool."""
    try:
        if len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "replace")) > MAX_BYTES:
            raise NotATool(f"its schema is larger than {MAX_BYTES // 1024} kB")
    except (ValueError, RecursionError) as error:
        raise NotATool("its schema is no JSON") from error
    top = merged_top(schema, schema, iter(range(MAX_PARTS)))
    kind = top.get("type", "object")
    if isinstance(kind, str) and kind != "object" and kind in KNOWN_KINDS:
        raise NotATool(f"its arguments are no object but {kind!r}")
    found = part(top, MAX_DEPTH)
    kept = {name: value for name, value in found.items() if name not in AT_TOP}
    properties = kept.get("properties", {})
    kept = {**kept, "type": "object", "properties": properties}
    if "required" in kept:
        # Some upstreams refuse a schema that demands what it does not describe.
        kept["properties"] = {**properties, **{name: {} for name in kept["required"] if name not in properties}}
    return kept


def merged_top(schema: Any, root: JsonObject, steps: Iterator[int]) -> JsonObject:
    """Return a schema with the properties of its alternatives; of several, each may be given. Raises NotATool."""
    if not isinstance(schema, dict):
        return {}
    if next(steps, None) is None:
        raise NotATool("its schema has too many parts")
    merged = dict(schema)
    if isinstance(reference := merged.pop("$ref", None), str):
        merged = combined(merged, [merged_top(local(reference, root), root, steps)], all_hold=True)
    for word in OPEN:
        branches = merged.pop(word, None)
        if isinstance(branches, list) and branches:
            told = [merged_top(branch, root, steps) for branch in branches if isinstance(branch, dict)]
            merged = combined(merged, told, all_hold=word == "allOf")
    return merged


def combined(schema: JsonObject, branches: list[JsonObject], *, all_hold: bool) -> JsonObject:
    """Return a schema with the properties of its branches; required is what each branch demands, or where all hold any.

    The schema's own word on a property counts before a branch's.
    """
    properties: JsonObject = {}
    for branch in (*branches, schema):
        if isinstance(branch.get("properties"), dict):
            properties |= branch["properties"]
    demands = [names_in(branch.get("required")) for branch in branches]
    shared = [
        name
        for name in dict.fromkeys(name for names in demands for name in names)
        if all_hold or all(name in names for names in demands)
    ]
    required = list(dict.fromkeys([*names_in(schema.get("required")), *shared]))
    rest = {name: value for branch in branches for name, value in branch.items() if name in ("$defs", "definitions")}
    kinds = [branch["type"] for branch in branches if "type" in branch]
    kind = {"type": "object" if "object" in kinds else kinds[0]} if kinds else {}
    return {**rest, **kind, **schema, "properties": properties, **({"required": required} if required else {})}


def part(schema: Any, depth: int) -> JsonObject:
    """Return a schema within a schema, mended; raises NotATool."""
    if not isinstance(schema, dict):
        return {}  # true, false, and what is none: anything may stand there
    if depth == 0:
        raise NotATool("its schema is nested too deeply")
    mended = {name: value for name, value in schema.items() if is_told(name, value)}
    mend_kind(mended)
    mend_bounds(mended)
    for word in BY_NAME:
        if word in mended:
            mended[word] = {name: part(value, depth - 1) for name, value in mended[word].items()}
    for word in IN_LIST:
        if word in mended:
            mended[word] = [part(value, depth - 1) for value in mended[word]]
            if not mended[word]:
                del mended[word]
    for word in SINGLE:
        if word in mended:
            mended[word] = part(mended[word], depth - 1)
    for word in OPEN_ENDED:
        if word in mended and not isinstance(mended[word], bool):
            mended[word] = part(mended[word], depth - 1)
    mend_items(mended, depth)
    mend_required(mended, schema)
    kinds = kinds_of(mended)
    if "object" in kinds and "additionalProperties" not in mended and not any(word in mended for word in OPEN):
        mended.setdefault("properties", {})
    return mended


def is_told(name: str, value: object) -> bool:
    """Tell whether a keyword says something; a $ref to another document does not, nothing is fetched."""
    if name == "$ref":
        return isinstance(value, str) and value.startswith("#")
    if name in ("$schema", "$id", "id") and isinstance(value, str):
        return False
    wanted = MUST_BE.get(name)
    if wanted is None or (isinstance(value, bool) and name.startswith("exclusive")):
        return True
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def mend_kind(schema: JsonObject) -> None:
    """Give a schema kinds that are known, or none."""
    given = schema.get("type")
    if given is None:
        schema.pop("type", None)
        return
    kinds = given if isinstance(given, list) else [given]
    known = [KINDS.get(kind.lower(), kind.lower()) for kind in kinds if isinstance(kind, str)]
    known = list(dict.fromkeys(kind for kind in known if kind in KNOWN_KINDS))
    if not known or len(known) < len(dict.fromkeys(map(str, kinds))):
        del schema["type"]  # "any" and its like
    else:
        schema["type"] = known if len(known) > 1 else known[0]


def kinds_of(schema: JsonObject) -> list[str]:
    """Return the kinds a schema names."""
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def mend_bounds(schema: JsonObject) -> None:
    """Write bounds as today (once `exclusiveMinimum: true` stood beside a minimum), and drop what bounds nothing."""
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(word), bool) and schema.pop(word) and bound in schema:
            schema[word] = schema.pop(bound)
    if schema.get("enum") == []:
        del schema["enum"]
    if schema.get("multipleOf", 1) <= 0:
        del schema["multipleOf"]
    for word in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"):
        if schema.get(word, 0) < 0:
            del schema[word]


def mend_items(schema: JsonObject, depth: int) -> None:
    """Give an array items; a list of them, one for each place, becomes a choice."""
    items = schema.get("items")
    places = schema.pop("prefixItems", None) or (items if isinstance(items, list) else None)
    if places is not None:
        mended = [part(place, depth - 1) for place in places]
        kinds = [place for number, place in enumerate(mended) if place not in mended[:number]]
        schema["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
        schema.pop("additionalItems", None)
    elif "items" in schema or "array" in kinds_of(schema):
        schema["items"] = part(items, depth - 1)


def mend_required(schema: JsonObject, given: JsonObject) -> None:
    """Keep the names of what is required, also those of members that say so of themselves, as once was the way."""
    names = names_in(schema.pop("required", None))
    own = given.get("properties")
    for name, member in own.items() if isinstance(own, dict) else ():
        if isinstance(member, dict) and member.get("required") is True:
            names.append(name)
    if names:
        schema["required"] = list(dict.fromkeys(names))


def names_in(value: object) -> list[str]:
    """Return the texts in a list."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def local(reference: str, root: JsonObject) -> Any:
    """Return what a reference within the schema names; raises NotATool."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    if not reference.startswith("#") or not isinstance(found, dict):
        raise NotATool(f"its schema names {reference[:60]!r}, which is not in it")
    return found
