"""JSON with comments and trailing commas, edited by span: what is not changed keeps its bytes."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from proxy.clients.edits import CannotEdit, Path

BLANK = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
OTHER = re.compile(r"-?\d[\d.eE+-]*|true|false|null")
MAX_DEPTH = 100
INDENT = "  "


@dataclass
class Node:
    """A value and where it stands; a member's `key_start` is where its key begins."""

    start: int
    end: int
    value: Any
    members: "dict[str | int, Node]" = field(default_factory=dict)
    key_start: int = 0


class Jsonc:
    """Read and edit."""

    def parse(self, text: str) -> Any:
        """Return what a text says; raises ValueError naming the line."""
        return read(text).value if text[blank_end(text, 0) :] else {}

    def put(self, text: str, path: Path, value: Any) -> str:
        """Put a value at a path of keys; raises CannotEdit."""
        if not text[blank_end(text, 0) :]:
            return text + json.dumps(nested(path, value), indent=INDENT, ensure_ascii=False) + "\n"
        node, depth = reach(read(text), path)
        if depth == len(path):
            indent = indent_at(text, node.key_start if depth else node.start)
            return text[: node.start] + rendered(value, indent, unit_of(text)) + text[node.end :]
        if not isinstance(node.value, dict):
            raise CannotEdit(f"{'.'.join(map(str, path[:depth])) or 'the whole'} is no object")
        return inserted(
            text, node, f"{json.dumps(path[depth], ensure_ascii=False)}: ", nested(path[depth + 1 :], value)
        )

    def add(self, text: str, path: Path, value: dict[str, Any]) -> str:
        """Add an item to a list; raises CannotEdit."""
        if not text[blank_end(text, 0) :]:
            return self.put(text, path, [value]) if path else text + rendered([value], "", INDENT) + "\n"
        node, depth = reach(read(text), path)
        if depth < len(path) or node.value is None:
            return self.put(text, path, [value])
        return inserted(text, node, "", value)

    def remove(self, text: str, path: Path) -> str:
        """Remove a member or an item with its comma, and its line where nothing else is on it; raises CannotEdit."""
        parent, depth = reach(read(text), path[:-1])
        if depth < len(path) - 1 or path[-1] not in parent.members:
            raise CannotEdit("it is not there")
        names = list(parent.members)
        node = parent.members[path[-1]]
        start, end = node.key_start, node.end
        comma = blank_end(text, end)
        if text[comma] == ",":
            gap = text[end:comma]
            text = text[:end] + gap + text[comma + 1 :]
            end = end if gap.strip() else end + len(gap)
        elif len(names) > 1:
            before = parent.members[names[names.index(path[-1]) - 1]]
            comma = blank_end(text, before.end)
            text = text[:comma] + text[comma + 1 :]
            start, end = start - 1, end - 1
        return without_line(text, start, end)


def read(text: str) -> Node:
    """Return the tree of a text; raises ValueError."""
    node = read_value(text, blank_end(text, 0), 0)
    rest = blank_end(text, node.end)
    if rest < len(text):
        raise wrong(text, rest)
    return node


def read_value(text: str, start: int, depth: int) -> Node:
    """Read one value; raises ValueError."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if text[start : start + 1] in ("{", "["):
        return read_members(text, start, depth)
    if found := STRING.match(text, start) or OTHER.match(text, start):
        try:
            return Node(start, found.end(), json.loads(found[0]))
        except ValueError:
            raise wrong(text, start) from None
    raise wrong(text, start)


def read_members(text: str, start: int, depth: int) -> Node:
    """Read an object or a list; raises ValueError, also for a key that is there twice."""
    is_object = text[start] == "{"
    close = "}" if is_object else "]"
    members: dict[str | int, Node] = {}
    place = blank_end(text, start + 1)
    while text[place : place + 1] != close:
        key: str | int = len(members)
        key_start = place
        if is_object:
            found = STRING.match(text, place)
            if found is None:
                raise wrong(text, place)
            key = str(read_value(text, place, depth + 1).value)
            place = blank_end(text, found.end())
            if text[place : place + 1] != ":" or key in members:
                raise wrong(text, place)
            place = blank_end(text, place + 1)
        node = read_value(text, place, depth + 1)
        node.key_start = key_start
        members[key] = node
        place = blank_end(text, node.end)
        if text[place : place + 1] == ",":
            place = blank_end(text, place + 1)
        elif text[place : place + 1] != close:
            raise wrong(text, place)
    values = {key: node.value for key, node in members.items()}
    return Node(start, place + 1, values if is_object else list(values.values()), members)


def inserted(text: str, node: Node, key: str, value: Any) -> str:
    """Return the text with a member or an item at the end of an object or a list."""
    unit, outer = unit_of(text), indent_at(text, node.key_start or node.start)
    close = node.end - 1
    if not node.members:
        inner, indent = text[node.start + 1 : close], outer + unit
        gap = inner[len(inner.rstrip()) :] if inner.strip() else f"\n{outer}"
        gap = gap if "\n" in gap else f"\n{outer}"
        head = text[: node.start + 1] + inner.rstrip()
        return f"{head}\n{indent}{key}{rendered(value, indent, unit)}{gap}{text[close:]}"
    last = list(node.members.values())[-1]
    comma = blank_end(text, last.end)
    has_comma = text[comma] == ","
    tail = text[comma + 1 : close] if has_comma else text[last.end : close]
    head = text[: comma + 1] if has_comma else text[: last.end] + ","
    end = "," if has_comma else ""
    kept = tail.rstrip()
    if "\n" not in text[node.start : close]:
        return f"{head}{kept} {key}{json.dumps(value, ensure_ascii=False)}{end}{tail[len(kept) :]}{text[close:]}"
    indent = indent_at(text, last.key_start)
    gap = tail[len(kept) :]
    gap = gap if "\n" in gap else f"\n{outer}"
    return f"{head}{kept}\n{indent}{key}{rendered(value, indent, unit)}{end}{gap}{text[close:]}"


def reach(node: Node, path: Path) -> tuple[Node, int]:
    """Return the deepest value on a path that is there, and how many steps lead to it."""
    for depth, step in enumerate(path):
        if step not in node.members:
            return node, depth
        node = node.members[step]
    return node, len(path)


def nested(path: Path, value: Any) -> Any:
    """Return a value within the objects that lead to it."""
    for step in reversed(path):
        value = {step: value}
    return value


def rendered(value: Any, indent: str, unit: str) -> str:
    """Return a value as text, its further lines indented."""
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{indent}")


def without_line(text: str, start: int, end: int) -> str:
    """Return the text without a span, and without the line where only blanks are left of it."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    if line_start > 0 and not text[line_start:start].strip() and not text[end:line_end].strip():
        return text[: line_start - 1] + text[line_end:]
    if text[start - 1 : start] == " " and text[end : end + 1] in (" ", "}", "]", ""):
        start -= 1
    return text[:start] + text[end:]


def indent_at(text: str, place: int) -> str:
    """Return what the line of a place begins with."""
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip())]


def unit_of(text: str) -> str:
    """Return what one level is indented by: what the first indented line begins with."""
    found = re.search(r"^([ \t]+)[\"{\[]", text, re.MULTILINE)
    return found[1] if found else INDENT


def blank_end(text: str, place: int) -> int:
    """Return where blanks and comments end."""
    found = BLANK.match(text, place)
    return found.end() if found else place


def wrong(text: str, place: int) -> ValueError:
    """Return an error that names the line."""
    return ValueError(f"line {text.count(chr(10), 0, place) + 1}: this is no JSON")
