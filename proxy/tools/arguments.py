"""The arguments of a call: from what an upstream sent to the one object a tool runs with, or why there is none.

Upstreams send JSON text, as the API has it, or the object itself; streamed, pieces of either. All of it becomes text,
and what does not belong together makes no object: nothing runs with other arguments than the model gave.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from proxy.tools.tool import JsonObject

NONE_GIVEN = "{}"
# The second and third are the words models were trained on, which some gateways leave as they are.
NAMES = ("arguments", "parameters", "input")
UNREADABLE = "unreadable_arguments"  # in what goes back upstream, the name of what is no object
NAME_LIMIT = 64
KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class Unreadable(Exception):
    """Say why arguments are not one object, in words that follow "cannot be read:"."""


def text_of(given: object) -> str:
    """Return arguments as text, "" where the model gave none."""
    if given is None or isinstance(given, str):
        return given or ""
    try:
        return json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "["  # nobody could read the text either


def arguments_in(call: Mapping[str, Any]) -> str:
    """Return as text the arguments of what holds a call's name; all of them where they stand there twice."""
    texts = ("".join(text_of(value) for name, value in call.items() if name == wanted) for wanted in NAMES)
    return next((text for text in texts if text.strip()), "")


def join_pieces(before: object, piece: object) -> object:
    """Put a piece of streamed arguments behind those before it; one that is alone stays what it is."""
    if piece is None or piece == "":
        return piece if before is None else before
    return piece if before is None or before == "" else text_of(before) + text_of(piece)


def read_arguments(text: str) -> JsonObject:
    """Return the object that arguments are, {} where there are none; raises Unreadable.

    Stricter than `json`: what two programs would read in two ways is not read.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text, object_pairs_hook=members, parse_float=finite, parse_constant=no_number)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unreadable(what_is_wrong(error)) from error
    if not isinstance(value, dict):
        raise Unreadable(f"they are {KINDS.get(type(value), 'a number')}, not an object")
    return value


def what_is_wrong(error: ValueError | RecursionError) -> str:
    """Say what is wrong with a JSON text."""
    if isinstance(error, RecursionError):
        return "they are nested too deeply"
    if isinstance(error, UnicodeError):
        return "they hold half of a character"
    if not isinstance(error, json.JSONDecodeError):
        return "they hold a number with too many digits"
    if error.msg == "Extra data":
        return "they are more than one JSON value"
    return f"they are not valid JSON ({error.msg}: character {error.pos + 1})"


def members(pairs: list[tuple[str, Any]]) -> JsonObject:
    """Return an object; raises Unreadable where a name stands in it twice."""
    value: JsonObject = {}
    for name, one in pairs:
        if name in value:
            raise Unreadable(f"{name[:NAME_LIMIT]!r} stands in them twice")
        value[name] = one
    return value


def finite(text: str) -> float:
    """Return a number; raises Unreadable for one beyond what numbers can be."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Unreadable(f"the number {text[:NAME_LIMIT]} is too large")
    return value


def no_number(text: str) -> NoReturn:
    """Raise Unreadable: Python alone takes these words for numbers."""
    raise Unreadable(f"{text} is not a JSON number")


def is_whole(text: str) -> bool:
    """Tell whether a text is an object, and so can have no further piece."""
    try:
        read_arguments(text)
    except Unreadable:
        return False
    return bool(text.strip())


def agreed(texts: Iterable[str]) -> str:
    """Return what several texts say of the same arguments; where they disagree all of them, which nobody can read."""
    return "".join({meaning_of(text): text for text in texts if text.strip()}.values())


def meaning_of(text: str) -> str:
    """Return arguments in one form, however they are spaced and ordered; what cannot be read stays as it is."""
    try:
        return json.dumps(read_arguments(text), sort_keys=True)
    except Unreadable:
        return text


def sent_back(text: str) -> str:
    """Return arguments as the API has them, the text of one object: some upstreams refuse what they sent themselves."""
    try:
        return text if read_arguments(text) else NONE_GIVEN
    except Unreadable:
        return json.dumps({UNREADABLE: text})
