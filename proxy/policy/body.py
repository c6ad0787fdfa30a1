"""A JSON body, read and rewritten: only the members a change touches; every other byte stays as the client sent it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # in no stub; public since Python 2.6
from typing import Any

from pydantic_core import from_json

from proxy.errors import InvalidJson

SPACE = re.compile(r"[ \t\n\r]*")
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")  # no UTF-8 has one; as an escape it is JSON
DECODER = json.JSONDecoder()


class Removed:
    """Marks a parameter to remove."""

    def __repr__(self) -> str:
        return "removed"


REMOVED = Removed()


@dataclass(frozen=True)
class Member:
    """One member of a JSON object: its name, and where its text stands."""

    name: str
    start: int  # just after the brace or comma before it
    value_start: int
    value_end: int
    end: int  # at the comma after it, or at the value's end where it is the last


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object a body holds; raises InvalidJson."""
    try:
        value = from_json(body)  # three times as fast as json, and stricter
    except ValueError:
        value = read_json(body)
    if not isinstance(value, dict):
        raise InvalidJson(f"it is a JSON {type_name(value)}")
    return value


def read_json(body: bytes) -> object:
    """Return the value a body holds, of half characters too; raises InvalidJson that says what is wrong, and where."""
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidJson("it is not UTF-8") from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error
    except ValueError as error:
        raise InvalidJson(str(error) if body.strip() else "it is empty") from error


def type_name(value: object) -> str:
    """Name a JSON value's type in JSON's words."""
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def rewrite(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """Return the body, a valid JSON object, with the changes made and all else as it was."""
    text = body.decode("utf-8")
    opening = text.index("{") + 1
    members, closing = scan_members(text, opening)
    pieces: list[str] = []
    for member in members:
        if member.name not in changes:
            pieces.append(text[member.start : member.end])
        elif changes[member.name] is not REMOVED:
            value = write_value(changes[member.name])
            pieces.append(text[member.start : member.value_start] + value + text[member.value_end : member.end])
    present = {member.name for member in members}
    for name, value in changes.items():
        if name not in present and value is not REMOVED:
            pieces.append(f"{json.dumps(name)}:{write_value(value)}")
    return (text[:opening] + ",".join(pieces) + text[closing:]).encode()


def write_value(value: object) -> str:
    """Write a rule's value as compact JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, separators=(",", ":")) if HALF_CHARACTER.search(text) else text


def scan_members(text: str, opening: int) -> tuple[list[Member], int]:
    """Return the members of the object that begins before `opening`, and where what follows the last one begins."""
    members: list[Member] = []
    position = opening
    while True:
        start = position
        name_start = skip_space(text, start)
        if text[name_start] == "}":  # only an empty object ends where a name could stand
            return members, start
        name, after = scanstring(text, name_start + 1)
        value_start = skip_space(text, skip_space(text, after) + 1)  # past the colon
        value_end = DECODER.raw_decode(text, value_start)[1]
        position = skip_space(text, value_end)
        is_last = text[position] == "}"
        members.append(Member(name, start, value_start, value_end, value_end if is_last else position))
        if is_last:
            return members, value_end
        position += 1  # past the comma


def skip_space(text: str, position: int) -> int:
    """Return the next position that is no JSON white space."""
    match = SPACE.match(text, position)
    return match.end() if match else position
