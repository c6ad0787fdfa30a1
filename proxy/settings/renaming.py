"""What changes in the settings where an upstream is given another name. Pure functions."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from proxy.errors.configuration import SettingError
from proxy.settings.model import Settings
from proxy.settings.parsing import cut
from proxy.settings.upstreams import NAME, Upstream


def renaming(settings: Settings, old: str, new: str) -> dict[str, Callable[[Any], Any]]:
    """Return the settings that name an upstream, each with what makes its new value of the old one.

    Raises SettingError where there is no such upstream, or none that can be renamed.
    """
    row = settings.upstream_named(old)
    if row is None:
        names = ", ".join(each.name for each in settings.upstreams)
        raise SettingError(f"there is no upstream {old!r}; there are {names}")
    if row.is_first:
        raise SettingError(f"{old} is the upstream of OPENAI_BASE_URL, which is named after its address")
    taken = {each.name.lower(): each.name for each in settings.upstreams if each is not row or new == old}
    if new.lower() in taken:
        raise SettingError(f"there is an upstream {taken[new.lower()]!r} already")
    if NAME.fullmatch(new) is None:
        raise SettingError(f"{cut(new)!r} is no name: letters, digits, - and _ make one")
    changes: dict[str, Callable[[Any], Any]] = {
        "proxy_upstream": lambda name: new if name == old else name,
        "proxy_aliases": lambda aliases: {
            alias: [put(target, old, new) for target in chain] for alias, chain in aliases.items()
        },
        "openai_param_defaults": lambda rules: with_rules(rules, old, new),
        "openai_param_overrides": lambda rules: with_rules(rules, old, new),
        "openai_param_drop": lambda entries: [put(entry, old, new) for entry in entries],
    }
    named = {field: change for field, change in changes.items() if is_other(change, getattr(settings, field))}
    return {"proxy_upstreams": lambda rows: with_row(rows, old, new), **named}


def is_other(change: Callable[[Any], Any], value: Any) -> bool:
    """Tell whether a change makes another value; a list is as good as a tuple."""
    return json.dumps(change(value)) != json.dumps(value)


def put(name: str, old: str, new: str) -> str:
    """Return a name that begins with an upstream's and a slash with the new one before the slash; case is ignored."""
    prefix, slash, rest = name.partition("/")
    return f"{new}/{rest}" if slash and prefix.lower() == old.lower() else name


def with_rules(rules: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return rules under their new names; raises SettingError where there is such a rule already."""
    names = [put(name, old, new) for name in rules]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise SettingError(f"there are parameter rules for {doubled} already")
    return dict(zip(names, rules.values(), strict=True))


def with_row(rows: tuple[Upstream, ...], old: str, new: str) -> list[dict[str, Any]]:
    """Return the table with the new name, also where another row falls back to it."""
    return [
        {
            **row.table(),
            "name": new if row.name == old else row.name,
            **({"fallback": [new if name == old else name for name in row.fallback]} if row.fallback else {}),
        }
        for row in rows
    ]
