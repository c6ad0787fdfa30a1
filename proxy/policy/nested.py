"""Apply rules to parameters within objects, such as `reasoning.effort`. Pure functions.

The changes are a tree: by folded name, the name as the rule spells it, and a value, REMOVED, or Within.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.policy.body import REMOVED, Within
from proxy.settings.parameters import path_of
from proxy.settings.parsing import fold_name

Tree = dict[str, tuple[str, Any]]


def put(tree: Tree, path: tuple[str, ...], value: Any) -> None:
    """Add a rule's change at a path to those of earlier rules."""
    name, *deeper = path
    key = fold_name(name)
    if not deeper:
        tree[key] = (name, value)
        return
    spelt, there = tree.get(key, (name, None))
    if isinstance(there, Within):
        inner = {fold_name(each): (each, rule) for each, rule in there.changes.items()}
        put(inner, tuple(deeper), value)
        tree[key] = (spelt, Within(dict(inner.values())))
    elif isinstance(there, dict):
        tree[key] = (spelt, with_member(there, tuple(deeper), value))
    elif key not in tree:
        inner = {}
        put(inner, tuple(deeper), value)
        tree[key] = (spelt, Within(dict(inner.values())))
    elif value is not REMOVED:  # an earlier rule has removed the object, or set it to what holds no members
        tree[key] = (spelt, with_member({}, tuple(deeper), value))


def with_member(value: Mapping[str, Any], path: tuple[str, ...], wanted: Any) -> dict[str, Any]:
    """Return a rule's object with the member at a path set or removed."""
    name, *deeper = path
    others = {each: member for each, member in value.items() if fold_name(each) != fold_name(name)}
    before = next((member for each, member in value.items() if fold_name(each) == fold_name(name)), None)
    if not deeper:
        return others if wanted is REMOVED else {**others, name: wanted}
    if not isinstance(before, dict):
        return dict(value) if wanted is REMOVED else {**others, name: with_member({}, tuple(deeper), wanted)}
    return {**others, name: with_member(before, tuple(deeper), wanted)}


def stands_at(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Return whether a request has a value at a path, in any spelling."""
    name, *deeper = path
    found = [value for each, value in fields.items() if fold_name(each) == fold_name(name)]
    return any(isinstance(each, dict) and stands_at(each, tuple(deeper)) for each in found) if deeper else bool(found)


def is_open_at(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Return whether a default may fill a path: there is no value yet, and its parent is an object or absent."""
    name, *deeper = path
    found = [value for each, value in fields.items() if fold_name(each) == fold_name(name)]
    return all(bool(deeper) and isinstance(each, dict) and is_open_at(each, tuple(deeper)) for each in found)


def by_path(changes: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each change under its dotted name, as the rule spells it."""
    for name, value in changes.items():
        if isinstance(value, Within):
            yield from by_path(value.changes, f"{before}{name}.")
        else:
            yield before + name, value


def root_of(name: str) -> str:
    """Return the folded name of the parameter that a rule changes, as a whole or in part."""
    return fold_name(path_of(name)[0])
