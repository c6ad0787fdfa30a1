"""Parse aliases of models and check them for contradictions. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator

from proxy.settings.parsing import cut, parse_json

MAX_ALIAS_TARGETS = 16
MAX_CHAIN = 64  # models that an alias stands for, with those of the aliases it names


def parse_aliases(value: object) -> object:
    """Read aliases from JSON text or a table; a single target becomes a list of one. Raises ValueError."""
    value = parse_json(value)
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")  # noqa: TRY004  pydantic turns ValueError into its own
    return {name: parse_alias(name, targets) for name, targets in value.items()}


def parse_alias(name: str, targets: object) -> tuple[str, ...]:
    """Return an alias's targets; raises ValueError."""
    chain = [targets] if isinstance(targets, str) else targets
    if not name.strip() or "/" in name or not name.isprintable():
        raise ValueError(f"{cut(name)!r} is no alias: a name without a slash is one")
    if not isinstance(chain, (list, tuple)) or not 0 < len(chain) <= MAX_ALIAS_TARGETS:
        raise ValueError(f"the alias {cut(name)} needs a model, or a list of at most {MAX_ALIAS_TARGETS}")
    if not all(isinstance(target, str) and target.strip() and target.isprintable() for target in chain):
        raise ValueError(f"the alias {cut(name)} has a target that is no model's name")
    return tuple(target.strip() for target in chain)


Aliases = Annotated[dict[str, tuple[str, ...]], BeforeValidator(parse_aliases)]


def check_aliases(aliases: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Raise ValueError for a circle of aliases, a target whose prefix is no upstream, and a chain that is too long."""
    lengths: dict[str, int] = {}
    for alias in aliases:
        check_alias(alias, aliases, names, (), lengths)


def check_alias(
    alias: str,
    aliases: Mapping[str, Sequence[str]],
    names: Sequence[str],
    way: tuple[str, ...],
    lengths: dict[str, int],
) -> int:
    """Return how many models an alias stands for; `way` holds the aliases that led here. Raises ValueError."""
    if alias in way:
        raise ValueError(f"the aliases {', '.join(way[way.index(alias) :])} name each other in a circle")
    if alias in lengths:
        return lengths[alias]
    length = 0
    for target in aliases[alias]:
        if target in aliases:
            length += check_alias(target, aliases, names, (*way, alias), lengths)
        else:
            check_target(alias, target, names)
            length += 1
    if length > MAX_CHAIN:
        raise ValueError(f"the alias {alias} stands for {length} models; at most {MAX_CHAIN} are asked in a row")
    lengths[alias] = length
    return length


def check_target(alias: str, target: str, names: Sequence[str]) -> None:
    """Raise ValueError for a target whose prefix is no upstream."""
    prefix, slash, model = target.partition("/")
    if slash and (prefix not in names or not model):
        raise ValueError(f"the alias {alias} names {cut(target)}, and {cut(prefix)} is no upstream")
