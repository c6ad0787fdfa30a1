"""Which tools the demo calls, and with what arguments: made up to fit the JSON schema of each."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.demo.body import JsonObject, Refusal, read_nested, read_objects
from proxy.demo.texts import new_id

MAX_DEPTH = 8
FILLER_WORDS = {"a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "please", "the", "to", "with"}


@dataclass(frozen=True)
class ToolCall:
    """A call the demo asks for; the arguments are JSON text."""

    id: str
    name: str
    arguments: str


def offered_tools(body: JsonObject) -> dict[str, JsonObject]:
    """Return name and parameters of the functions that may be called; a chat wraps them in `function`."""
    if body.get("tool_choice") == "none":
        return {}
    functions = [tool for tool in read_objects(body.get("tools")) if tool.get("type") == "function"]
    definitions = [read_nested(tool.get("function")) or tool for tool in functions]
    return {str(each["name"]): read_nested(each.get("parameters")) for each in definitions if each.get("name")}


def choose_calls(body: JsonObject, said: str) -> list[ToolCall]:
    """Return the calls a message asks for: by names, by the word "tool", or because one is forced; raises Refusal."""
    tools = offered_tools(body)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        chosen = [str((read_nested(choice.get("function")) or choice).get("name"))]
        if chosen[0] not in tools:
            raise Refusal(f"Tool choice '{chosen[0]}' not found in 'tools' parameter.", param="tool_choice")
    else:
        chosen = [name for name in tools if _find_name(name, said)]
        if not chosen and (choice == "required" or re.search(r"\btools?\b", said, re.IGNORECASE)):
            chosen = list(tools)[:1]
    most = 1 if body.get("parallel_tool_calls") is False else len(chosen)
    return [_call(name, tools[name], said) for name in chosen[:most]]


def sample_value(schema: JsonObject, words: Iterator[str]) -> object:
    """Return a value for a schema; a free string takes the next of `words`, and "demo" after the last."""
    return _sample(schema, schema, words, MAX_DEPTH)


def _call(name: str, parameters: JsonObject, said: str) -> ToolCall:
    found = _find_name(name, said)
    words = re.findall(r"[\w'-]+", said[found.end() :]) if found else []
    word = [word for word in words if word.lower() not in FILLER_WORDS][:1]
    return ToolCall(new_id("call_"), name, json.dumps(sample_value({"type": "object", **parameters}, iter(word))))


def _find_name(name: str, said: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said, re.IGNORECASE)


def _sample(schema: JsonObject, root: JsonObject, words: Iterator[str], depth: int) -> object:
    if depth == 0:
        return None
    if "$ref" in schema:
        return _sample(_look_up(str(schema["$ref"]), root), root, words, depth - 1)
    for alternative in (each for name in ("anyOf", "oneOf", "allOf") for each in read_objects(schema.get(name))):
        if alternative.get("type") != "null":
            return _sample(alternative, root, words, depth - 1)
    fixed = [schema[name] for name in ("const", "default") if name in schema]
    if fixed := fixed or (schema["enum"] if isinstance(schema.get("enum"), list) else []):
        return fixed[0]
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        properties = read_nested(schema.get("properties"))
        required = schema.get("required")
        names = [name for name in properties if name in required] if isinstance(required, list) else []
        # A schema that demands nothing would otherwise be answered with nothing, which shows nothing.
        return {name: _sample(read_nested(properties[name]), root, words, depth - 1) for name in names or properties}
    if kind == "array":
        return [_sample(read_nested(schema.get("items")), root, words, depth - 1)]
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", 1))
    if kind in ("boolean", "null"):
        return True if kind == "boolean" else None
    return next(words, "demo")


def _look_up(reference: str, root: JsonObject) -> JsonObject:
    found = root
    for step in reference.strip("#/").split("/"):
        found = read_nested(found.get(step)) if step else found
    return found
