"""The user's parameter rules: defaults fill, drop removes, overrides force."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Any

from proxy.policy.body import ALONE, REMOVED, Mark, already_says, rewrite
from proxy.settings.parsing import UNTOUCHABLE, fold_name, is_model_pattern

ANY_MODEL = "*"
MODEL = "model"

Parameters = Mapping[str, tuple[str, Any]]  # by folded name: the name as the rule spells it, and the value
Limited = tuple[tuple[str, Parameters], ...]  # (model pattern, parameters), the general ones first


@dataclass(frozen=True)
class ParameterRules:
    """The rules of one settings snapshot, ready to apply."""

    defaults: Limited = ()
    drop: Limited = ()
    overrides: Limited = ()

    @classmethod
    def of(cls, defaults: Mapping[str, Any], drop: Sequence[str], overrides: Mapping[str, Any]) -> "ParameterRules":
        """Prepare rules as the settings hold them."""
        return cls(limit_by_model(defaults), tuple(split_drop(entry) for entry in drop), limit_by_model(overrides))

    def __bool__(self) -> bool:
        return bool(self.defaults or self.drop or self.overrides)

    def apply(self, body: bytes, fields: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
        """Return a body, read as `fields`, as the rules want it, and the changes it took.

        Where the rules look at the model, one is left of several in a body: that by which they judged. An upstream
        might read another.
        """
        changes = self.changes(fields)
        asked = requested_model(fields)
        is_for_model = self.look_at_the_model or (isinstance(asked, str) and fold_name(asked) in self._objects)
        if is_for_model and asked is not None:
            changes.setdefault(MODEL, asked)
        if not changes or already_says(body, fields, changes):
            return body, {}
        written = rewrite(body, changes)
        return (written, changes) if written != body else (body, {})

    def changes(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the rules set in a request (name to value) and remove (name to REMOVED).

        The model is settled first; the other rules look at the model that is sent. A default fills only what is absent
        in every spelling: beside another one it would be the value that some upstreams read.
        """
        present = self._names.intersection(map(fold_name, fields))
        asked = requested_model(fields)
        model = self._choose_model(asked if isinstance(asked, str) else "")
        defaults, overrides = (
            for_named(collect(self.defaults, model), model),
            for_named(collect(self.overrides, model), model),
        )
        changed = {key: rule for key, rule in defaults.items() if key not in present}
        changed |= collect(self.drop, model)
        changed |= overrides
        changed.pop(MODEL, None)
        if model and model != asked:
            changed[MODEL] = (MODEL, model)
        return {name: value for key, (name, value) in changed.items() if value is not REMOVED or key in present}

    def touches(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Tell whether the rules set a parameter of a request, or would remove it."""
        key = fold_name(name)
        if key not in self._names:
            return False
        return key in map(fold_name, {**self.changes(fields), **self.changes({**fields, name: None})})

    def forces(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Tell whether the rules force a parameter of a request, or remove it, whatever the request says."""
        key = fold_name(name)
        return key in self._names and key in map(fold_name, self.changes({**fields, name: None}))

    @cached_property
    def look_at_the_model(self) -> bool:
        """Tell whether it matters to them which model a request is for."""
        patterns = (pattern for pattern, _ in (*self.defaults, *self.drop, *self.overrides))
        return any(pattern != ANY_MODEL for pattern in patterns) or MODEL in collect(self.overrides, "")

    @cached_property
    def _names(self) -> frozenset[str]:
        """Return the folded names of all parameters they are about."""
        rules = [parameters for _, parameters in (*self.defaults, *self.drop, *self.overrides)]
        inner = (by_name(rule) for parameters in rules for _, rule in parameters.values() if isinstance(rule, dict))
        return frozenset(name for parameters in (*rules, *inner) for name in parameters)

    @cached_property
    def _objects(self) -> frozenset[str]:
        """Return the folded names under which an object stands: each may be a parameter's, or a model's."""
        return frozenset(
            key
            for _, parameters in (*self.defaults, *self.overrides)
            for key, (_, rule) in parameters.items()
            if isinstance(rule, dict)
        )

    def _choose_model(self, asked: str) -> str:
        model = asked or str(collect(self.defaults, "").get(MODEL, (MODEL, ""))[1])
        return str(collect(self.overrides, model).get(MODEL, (MODEL, model))[1])


def requested_model(fields: Mapping[str, Any]) -> str | Mark | None:
    """Return the model a request names: in the right spelling, else in another; ALONE for what is no text."""
    spelt = [fields[MODEL]] if MODEL in fields else [fields[name] for name in fields if fold_name(name) == MODEL]
    return next((model for model in spelt if isinstance(model, str)), ALONE) if spelt else None


def limit_by_model(rules: Mapping[str, Any]) -> Limited:
    """Take the flat rules and the limited ones apart."""
    flat = {name: value for name, value in rules.items() if not is_model_pattern(name, value)}
    limited = tuple((name, by_name(value)) for name, value in rules.items() if is_model_pattern(name, value))
    return ((ANY_MODEL, by_name(flat)), *limited) if flat else limited


def split_drop(entry: str) -> tuple[str, Parameters]:
    """Take `model pattern:name` apart; a bare name is dropped for every model."""
    pattern, _, name = entry.rpartition(":")
    return pattern or ANY_MODEL, by_name({name: REMOVED})


def by_name(parameters: Mapping[str, Any]) -> Parameters:
    """Return parameters by what all spellings of their names have in common."""
    return {fold_name(name): (name, value) for name, value in parameters.items()}


def for_named(rules: dict[str, tuple[str, Any]], model: str) -> dict[str, tuple[str, Any]]:
    """Return the rules with those for this very model in the place of an object that stands under its name."""
    named = rules.get(fold_name(model.strip())) if model else None
    if named is None or not isinstance(named[1], dict):
        return rules
    others = {key: rule for key, rule in rules.items() if key != fold_name(model.strip())}
    return others | {key: rule for key, rule in by_name(named[1]).items() if key not in UNTOUCHABLE}


def collect(rules: Limited, model: str) -> dict[str, tuple[str, Any]]:
    """Return the parameters whose pattern fits the model; later rules win."""
    chosen: dict[str, tuple[str, Any]] = {}
    for pattern, parameters in rules:
        if pattern == ANY_MODEL or matcher(pattern)(model.strip()):
            chosen.update(parameters)
    return chosen


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Return what matches a pattern, or its very text, in any letter case: many upstreams know their models in each."""
    return re.compile(f"{translate(pattern)}|{re.escape(pattern)}\\Z", re.IGNORECASE).match
