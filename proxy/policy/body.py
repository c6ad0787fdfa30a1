"""Read and rewrite a JSON body: only the changed members differ; every other byte stays as the client sent it.

A change covers every spelling of a name and every duplicate, because upstreams differ in which one they read.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from json.decoder import scanstring  # type: ignore[attr-defined]  # in no stub; public since Python 2.6
from typing import Any, Final

from pydantic_core import from_json

from proxy.errors.request import BodyTooLarge, InvalidJson
from proxy.http.json_text import written
from proxy.http.json_values import MAX_VALUES, SMALL_BYTES, holds_too_many
from proxy.settings.parsing import PARAMETER, fold_name

SPACE = re.compile(r"[ \t\n\r]*")
# A member whose name has no escape, up to its value; and that where it holds neither an escape nor other values. What
# is matched is JSON already.
MEMBER = re.compile(
    r'[ \t\n\r]*"(?P<name>[^"\\]*)"[ \t\n\r]*:[ \t\n\r]*'
    r'(?:(?P<value>"[^"\\]*"|[^"{\[,} \t\n\r]+)[ \t\n\r]*(?=[,}]))?'
)
ESCAPED_LETTER = re.compile(rb"\\u00[3-7]")  # the only way to escape what PARAMETER allows; no client needs it
DECODER = json.JSONDecoder()
# Reads texts so that equal values were written alike: numbers digit by digit, of a name that stands twice both.
EXACT_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=str.encode, parse_float=str.encode, parse_constant=str.encode
)
SPACE_OR_ESCAPE = re.compile(r"[ \t\n\r\\]")  # what alone lets one value be written in two ways
TOO_DEEP = "it is nested too deeply"
MAX_COMPARED = 4_096  # characters


class Mark(Enum):
    """A marker for a parameter that gets no value."""

    REMOVED = "removed"
    ALONE = "alone"  # the last of its values stays as it is written


REMOVED: Final = Mark.REMOVED
ALONE: Final = Mark.ALONE


@dataclass(frozen=True)
class Within:
    """Changes of an object's members: by name a value, a marker, or changes within that member."""

    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """A member of a JSON object: its name, and the position of its text."""

    name: str
    key: str  # what all spellings of the name have in common
    start: int  # just after the brace or comma before it
    name_start: int
    name_end: int
    value_start: int
    value_end: int
    end: int  # at the comma or brace after it


@dataclass(frozen=True)
class Change:
    """The change of a parameter: its name in the canonical spelling, and its value or marker."""

    name: str
    value: Any

    def written(self, text: str, member: Member) -> str:
        """Return the member's new text; a member that is right already stays as the client wrote it."""
        name, value = text[member.name_start : member.name_end], text[member.value_start : member.value_end]
        if member.name != self.name or "\\" in name:
            name = json.dumps(self.name)
        if isinstance(self.value, Within):
            value = rewrite_within(value, self.value)
        elif self.value is not ALONE and not says(value, right := write_value(self.value)):
            value = right
        between = text[member.name_end : member.value_start]
        return text[member.start : member.name_start] + name + between + value


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raises InvalidJson, and BodyTooLarge if it would make too many objects.

    Read a large body on a worker thread, not on the event loop.
    """
    if len(body) > SMALL_BYTES and holds_too_many(body):
        raise BodyTooLarge(f"more than {MAX_VALUES} values")
    try:
        value = from_json(body)  # three times as fast as json, and stricter
    except ValueError:
        value = read_json(body)
    if not isinstance(value, dict):
        raise InvalidJson(f"it is a JSON {type_name(value)}")
    return value


def outline(fields: Mapping[str, Any], needed: Collection[str]) -> dict[str, Any]:
    """Return an outline of a large body's object for rules and stages: names, short texts and numbers.

    Objects and arrays become empty, and long texts are cut; members in `needed` (folded names) stay whole.
    """
    return {name: value if fold_name(name) in needed else shortened(value) for name, value in fields.items()}


def shortened(value: object) -> object:
    """Return an empty object or array in place of a full one, and the beginning of a text."""
    if isinstance(value, (list, dict)):
        return type(value)()
    return value[:MAX_COMPARED] if isinstance(value, str) else value


def read_json(body: bytes) -> object:
    """Return the JSON value in a body, lone surrogates included; raises InvalidJson with the reason and position."""
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidJson("it is not UTF-8") from error
    except RecursionError as error:
        raise InvalidJson(TOO_DEEP) from error
    except ValueError as error:
        raise InvalidJson(str(error) if body.strip() else "it is empty") from error


def type_name(value: object) -> str:
    """Return a value's type as JSON names it."""
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def value_of(fields: Mapping[str, Any], name: str) -> Any:
    """Return a parameter's value: in the canonical spelling, else in another; None if it is absent."""
    if name in fields:
        return fields[name]
    key = fold_name(name)
    return next((value for other, value in fields.items() if fold_name(other) == key), None)


def already_says(body: bytes, fields: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    """Return quickly whether a body already holds the texts of all changes, each once and in canonical spelling.

    False proves nothing: a name may also occur deeper in the body.
    """
    keys = set(map(fold_name, changes))
    return (
        all(isinstance(value, str) and fields.get(name) == value for name, value in changes.items())
        and sum(fold_name(name) in keys for name in fields) == len(changes)
        and all(PARAMETER.fullmatch(name) and body.count(b'"%b"' % name.encode()) == 1 for name in changes)
        and ESCAPED_LETTER.search(body) is None
    )


def rewrite(body: bytes, changes: Mapping[str, Any]) -> bytes:
    """Return the body, a valid JSON object, with the changes made and all else unchanged; raises InvalidJson.

    A parameter that is set has one member afterwards, spelt as in `changes`; one that is removed has none. A body that
    could just be read may be nested too deeply here, as the call stack is deeper.
    """
    return rewrite_text(body.decode("utf-8"), changes).encode()


def rewrite_within(text: str, within: Within) -> str:
    """Return an object's text with the changes made; any other value is replaced by an object if members are set."""
    return rewrite_text(text if text.startswith("{") or not values_of(within) else "{}", within.changes)


def rewrite_text(text: str, changes: Mapping[str, Any]) -> str:
    """Return an object's text with the changes made, as `rewrite`; raises InvalidJson.

    A text without an object stays as it is.
    """
    opening = text.find("{") + 1
    if text[:opening].strip() != "{":
        return text
    wanted = {fold_name(name): Change(name, value) for name, value in changes.items()}
    try:
        touched, closing = find_members(text, opening, wanted)
    except RecursionError as error:
        raise InvalidJson(TOO_DEEP) from error
    left = {place: wanted[key] for key, place in choose_members(touched, wanted).items()}
    pieces = list(kept_pieces(text, opening, closing, touched, left))
    present = {member.key for member in touched}
    pieces += [
        f"{json.dumps(change.name)}:{write_value(change.value)}"
        for key, change in wanted.items()
        if key not in present and not isinstance(change.value, Mark)
    ]
    return text[:opening] + ",".join(pieces) + text[closing:]


def values_of(within: Within) -> dict[str, Any]:
    """Return the object that changes make if there is none yet."""
    members: dict[str, Any] = {}
    for name, value in within.changes.items():
        if isinstance(value, Within):
            members |= {name: inner} if (inner := values_of(value)) else {}
        elif not isinstance(value, Mark):
            members[name] = value
    return members


def choose_members(touched: list[Member], wanted: Mapping[str, Change]) -> dict[str, int]:
    """Return the member to keep for each parameter with a value: the last in canonical spelling, else the last."""
    chosen: dict[str, int] = {}
    for place, member in enumerate(touched):
        right = wanted[member.key].name
        if wanted[member.key].value is REMOVED:
            continue
        if member.name == right or member.key not in chosen or touched[chosen[member.key]].name != right:
            chosen[member.key] = place
    return chosen


def kept_pieces(
    text: str, opening: int, closing: int, touched: list[Member], left: Mapping[int, Change]
) -> Iterator[str]:
    """Yield the kept pieces of an object's text, without the commas of removed members."""
    piece, start = "", opening
    for place, member in enumerate(touched):
        piece += text[start : member.start]
        if place in left:
            piece, start = piece + left[place].written(text, member), member.value_end
            continue
        if piece:
            yield piece[:-1]
        piece, start = "", member.end + 1 if member.value_end < closing else closing
    piece += text[start:closing]
    if piece:
        yield piece


def says(text: str, compact: str) -> bool:
    """Return whether a JSON text differs from a compact one at most in white space and escapes."""
    if text == compact or len(text) > MAX_COMPARED or SPACE_OR_ESCAPE.search(text) is None:
        return text == compact
    try:
        return bool(EXACT_DECODER.decode(text) == EXACT_DECODER.decode(compact))
    except RecursionError:
        return False


def write_value(value: object) -> str:
    """Write a rule's value as compact JSON."""
    return written(values_of(value) if isinstance(value, Within) else value)


def find_members(text: str, opening: int, wanted: Mapping[str, object]) -> tuple[list[Member], int]:
    """Return an object's members with the wanted folded names, and the position after its last member.

    The object begins just before `opening`.
    """
    found: list[Member] = []
    position = opening
    if text[skip_space(text, opening)] == "}":
        return found, opening
    while True:
        match = MEMBER.match(text, position)
        if match is not None and match["value"] and fold_name(match["name"]) not in wanted:
            end, value_end = match.end(), match.end("value")
        else:
            member = read_member(text, position)
            end, value_end = member.end, member.value_end
            if member.key in wanted:
                found.append(member)
        if text[end] == "}":
            return found, value_end
        position = end + 1


def read_member(text: str, start: int) -> Member:
    """Return the member after a brace or a comma."""
    name_start = skip_space(text, start)
    name, name_end = scanstring(text, name_start + 1)
    value_start = skip_space(text, skip_space(text, name_end) + 1)  # past the colon
    value_end = DECODER.raw_decode(text, value_start)[1]
    return Member(
        name, fold_name(name), start, name_start, name_end, value_start, value_end, skip_space(text, value_end)
    )


def skip_space(text: str, position: int) -> int:
    """Return the next position that is not JSON white space."""
    match = SPACE.match(text, position)
    return match.end() if match else position
