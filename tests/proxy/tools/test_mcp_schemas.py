"""Schemas as servers send them, and as strict upstreams take them."""

import time
from functools import reduce
from typing import Any

import jsonschema
import pytest

from proxy.tools.mcp.schemas import MAX_BYTES, normalised
from proxy.tools.tool import NotATool

WITHOUT_ARGUMENTS = {"type": "object", "properties": {}}


def offences(schema: Any, path: str = "") -> list[str]:
    """Return what a strict upstream says of a schema: as api.openai.com and Gemini answer."""
    if isinstance(schema, list):
        return [said for number, item in enumerate(schema) for said in offences(item, f"{path}/{number}")]
    if not isinstance(schema, dict):
        return []
    said = []
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kinds and not isinstance(schema.get("items"), dict):
        said.append(f"{path}: array schema missing items")
    if not isinstance(schema.get("required", []), list):
        said.append(f"{path}: required is not of type array")
    if schema.get("enum") == []:
        said.append(f"{path}: enum is empty")
    if not path:
        if schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
            said.append("object schema missing properties")
        said += [word for word in ("anyOf", "oneOf", "allOf", "not", "enum", "$ref", "$schema") if word in schema]
        said += [f"required {name}" for name in schema.get("required", ()) if name not in schema.get("properties", {})]
    return said + [found for name, part in schema.items() for found in offences(part, f"{path}/{name}")]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {},
        {"type": "object", "properties": None},
        {"type": "object", "properties": {}, "$schema": "http://json-schema.org/draft-07/schema#"},
        {"type": ["object", "null"]},
        {"type": "Object"},
    ],
)
def test_a_tool_without_arguments_has_properties(schema: Any) -> None:
    assert normalised(schema) == WITHOUT_ARGUMENTS


@pytest.mark.parametrize(
    "part",
    [
        {"type": "array"},
        {"type": ["array", "null"]},
        {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "items": True},
        {"type": "array", "items": {"type": "array"}},
        {"type": "list"},
        {"anyOf": [{"type": "array"}, {"type": "string"}]},
        {"type": "string", "required": True},
        {"type": "string", "enum": []},
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        {"type": "number", "multipleOf": 0},
        {"type": "any"},
        {"type": None},
        {"type": "string", "minLength": "3"},
        {"$ref": "https://example.org/schema.json"},
        True,
        "string",
    ],
)
def test_every_part_is_one_that_upstreams_take(part: Any) -> None:
    found = normalised(
        {"type": "object", "properties": {"it": part, "deep": {"type": "object", "properties": {"a": part}}}}
    )

    assert offences(found) == []
    assert list(found["properties"]) == ["it", "deep"]
    jsonschema.Draft202012Validator.check_schema(found)


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "allOf"])
def test_alternatives_at_the_top_become_properties(word: str) -> None:
    branches = [
        {"properties": {"path": {"type": "string"}, "by": {"type": "string"}}, "required": ["path", "by"]},
        {"properties": {"url": {"type": "string"}, "by": {"type": "string"}}, "required": ["url", "by"]},
    ]

    found = normalised({"type": "object", word: branches})

    assert offences(found) == []
    assert set(found["properties"]) == {"path", "url", "by"}
    assert set(found["required"]) == ({"path", "url", "by"} if word == "allOf" else {"by"})


def test_a_reference_at_the_top_is_followed() -> None:
    schema = {"$ref": "#/$defs/Args", "$defs": {"Args": {"type": "object", "properties": {"a": {"type": "string"}}}}}

    found = normalised(schema)

    assert offences(found) == []
    assert found["properties"] == {"a": {"type": "string"}}


def test_what_says_of_itself_that_it_is_required_is() -> None:
    found = normalised({"type": "object", "properties": {"q": {"type": "string", "required": True}, "n": {}}})

    assert found["required"] == ["q"]


def test_what_is_demanded_and_not_described_can_be_given() -> None:
    assert normalised({"type": "object", "required": ["a"]}) == {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a"],
    }


def test_a_good_schema_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "A title", "default": None},
            "type": {"type": "string", "enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
            "more": {"type": "object", "additionalProperties": {"type": "number"}},
            "node": {"$ref": "#/$defs/Node"},
        },
        "required": ["title"],
        "additionalProperties": False,
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    }

    assert normalised(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {}},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)}},
        {"type": "object", "properties": {"a": {"description": "x" * MAX_BYTES}}},
        {
            "type": "object",
            "properties": {"a": reduce(lambda inner, _: {"not": inner}, range(100), {})},
        },
    ],
    ids=["a text", "a list", "nowhere", "itself", "doubling", "large", "deep"],
)
def test_what_cannot_be_mended_is_no_tool_and_takes_no_time(schema: Any) -> None:
    began = time.monotonic()

    with pytest.raises(NotATool):
        normalised(schema)

    assert time.monotonic() - began < 2
