"""What is changed in a client's settings, as values: keys that are put, items that are added to a list."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Path = tuple[str | int, ...]


class CannotEdit(ValueError):
    """The text has a form in which the change cannot be made safely."""


@dataclass(frozen=True)
class Put:
    """Put a value at a path of keys. A frame is what a file needs to be valid: put where missing, and left in use."""

    path: Path
    value: Any
    is_frame: bool = False


@dataclass(frozen=True)
class Add:
    """Add an object to the list at a path, in the place of the one whose field `by` has the same value."""

    path: Path
    value: dict[str, Any]
    by: str


Edit = Put | Add
MISSING: Any = object()


class Format(Protocol):
    """A text format, edited where a change is and nowhere else."""

    def parse(self, text: str) -> Any:
        """Return what a text says; an empty one says an empty object. Raises ValueError."""

    def put(self, text: str, path: Path, value: Any) -> str:
        """Put a value at a path; raises CannotEdit."""

    def add(self, text: str, path: Path, value: dict[str, Any]) -> str:
        """Add an item to the end of the list at a path; raises CannotEdit."""

    def remove(self, text: str, path: Path) -> str:
        """Remove what is at a path; raises CannotEdit."""


def find(data: Any, path: Path) -> Any:
    """Return what is at a path, MISSING where nothing is."""
    for step in path:
        is_there = step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))
        if not is_there:
            return MISSING
        data = data[step]
    return data


def place_of(data: Any, edit: Edit) -> Path | None:
    """Return the path at which an edit's value is, or one in its place; None where there is none."""
    if isinstance(edit, Put):
        return None if find(data, edit.path) is MISSING else edit.path
    items = find(data, edit.path)
    for place, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get(edit.by) == edit.value[edit.by]:
            return (*edit.path, place)
    return None


def apply(form: Format, text: str, edits: Sequence[Edit]) -> str:
    """Return the text with the edits made, read back after each; raises CannotEdit, ValueError."""
    for edit in edits:
        text = apply_one(form, text, edit)
    return text


def apply_one(form: Format, text: str, edit: Edit) -> str:
    """Return the text with one edit made; raises CannotEdit."""
    data = form.parse(text)
    place = place_of(data, edit)
    if place is not None:
        if isinstance(edit, Put) and edit.is_frame:
            return text
        return text if find(data, place) == edit.value else put(form, text, place, edit.value)
    if isinstance(edit, Put):
        return put(form, text, edit.path, edit.value)
    items = [] if not edit.path and not data else find(data, edit.path)  # an empty text says an empty object
    if items not in (MISSING, None) and not isinstance(items, list):
        raise CannotEdit(f"{named(edit.path)} is no list")
    expected = replaced(data, edit.path, [*(items if isinstance(items, list) else []), edit.value])
    return checked(form, form.add(text, edit.path, edit.value), expected)


def put(form: Format, text: str, path: Path, value: Any) -> str:
    """Put a value and read the text back; raises CannotEdit."""
    expected = replaced(form.parse(text), path, value)
    return checked(form, form.put(text, path, value), expected)


def remove(form: Format, text: str, path: Path) -> str:
    """Remove what is at a path and read the text back; raises CannotEdit."""
    expected = copy.deepcopy(form.parse(text))
    del find(expected, path[:-1])[path[-1]]
    text = form.remove(text, path)
    while len(path) > 1 and find(form.parse(text), path[:-1]) is MISSING and not find(expected, path[:-1]):
        path = path[:-1]  # TOML's tables make those above them, which go with them
        del find(expected, path[:-1])[path[-1]]
    return checked(form, text, expected)


def checked(form: Format, text: str, expected: Any) -> str:
    """Return the text if it says what is expected, else raise CannotEdit."""
    try:
        is_right = form.parse(text) == expected or (not expected and not form.parse(text))
    except ValueError:
        is_right = False
    if not is_right:
        raise CannotEdit("its form is one that is not edited by a program")
    return text


def replaced(data: Any, path: Path, value: Any) -> Any:
    """Return a copy of the data with another value at a path; raises CannotEdit.

    Objects that are missing on the way are made.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, list) and isinstance(step, int):
        return [*data[:step], replaced(data[step], rest, value), *data[step + 1 :]]
    if data is MISSING or data is None:
        data = {}
    if not isinstance(data, dict):
        raise CannotEdit(f"there is a value where {named(path)} belongs")
    return {**data, step: replaced(data.get(step, MISSING), rest, value)}


def taken_back(form: Format, text: str, before: str, edits: Sequence[Edit]) -> tuple[str, list[str]]:
    """Return the text without the edits, as it was before them, and the names of what the user has changed since.

    Where the user has changed a value of ours it stays. Raises CannotEdit, ValueError.
    """
    old = form.parse(before)
    kept: list[str] = []
    for edit in reversed(edits):
        if isinstance(edit, Put) and edit.is_frame:
            continue
        data = form.parse(text)
        place = place_of(data, edit)
        if place is None:
            continue
        if find(data, place) != edit.value:
            kept.append(named(place))
            continue
        earlier = place_of(old, edit)
        if earlier is not None:
            text = put(form, text, place, find(old, earlier))
            continue
        text = remove_empty(form, remove(form, text, place), old, place[:-1])
    frames = {edit.path: edit.value for edit in edits if isinstance(edit, Put) and edit.is_frame}
    left = form.parse(text)
    if isinstance(left, dict) and all(frames.get((key,), MISSING) == value for key, value in left.items()):
        for path in frames:  # nothing but the frame is left
            if find(old, path) is MISSING and find(form.parse(text), path) is not MISSING:
                text = remove(form, text, path)
    return text, kept


def remove_empty(form: Format, text: str, old: Any, path: Path) -> str:
    """Take away the objects and lists on a path that are empty now and were not there before."""
    while path:
        value = find(form.parse(text), path)
        earlier = find(old, path)
        if value is MISSING or value or earlier == value:
            return text
        if earlier is MISSING:
            text = remove(form, text, path)
        elif not earlier:  # what was empty, in another way
            return put(form, text, path, earlier)
        path = path[:-1]
    return text


def named(path: Path) -> str:
    """Return a path as a person writes it."""
    return ".".join(map(str, path)) or "the whole"
