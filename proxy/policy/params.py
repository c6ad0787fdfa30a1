"""Apply the user's parameter rules: defaults fill, drop removes, overrides force."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Any

from proxy.policy.additions import rewrite_known
from proxy.policy.body import ALONE, REMOVED, Mark, Within, already_says, values_of
from proxy.policy.nested import Tree, is_open_at, put, root_of, stands_at
from proxy.settings.parameters import UNTOUCHABLE, is_model_pattern, path_of
from proxy.settings.parsing import fold_name

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
        """Prepare the rules of the settings."""
        return cls(limit_by_model(defaults), tuple(split_drop(entry) for entry in drop), limit_by_model(overrides))

    def for_upstream(self, name: str, names: Collection[str]) -> "ParameterRules":
        """Return the rules for requests to one upstream of several; `names` are those of all.

        A pattern that begins with an upstream's name and a slash is limited to that upstream; any other prefix is part
        of the model's name, as in routing.
        """
        known = {each.lower() for each in names}
        kinds = (self.defaults, self.drop, self.overrides)
        defaults, drop, overrides = (tuple(limit_to_upstream(rules, name.lower(), known)) for rules in kinds)
        return ParameterRules(defaults, drop, overrides)

    def __bool__(self) -> bool:
        return bool(self.defaults or self.drop or self.overrides)

    def apply(self, body: bytes, fields: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
        """Return a body, read as `fields`, with the rules applied, and the changes made.

        If the rules depend on the model, only one of several `model` members is kept: the one that the rules used. An
        upstream might read another.
        """
        changes = self.changes(fields)
        asked = requested_model(fields)
        is_for_model = self.look_at_the_model or (isinstance(asked, str) and fold_name(asked) in self._objects)
        if is_for_model and asked is not None and not already_says(body, fields, {MODEL: asked}):
            changes.setdefault(MODEL, asked)
        if not changes or already_says(body, fields, changes):
            return body, {}
        written = rewrite_known(body, changes, fields)
        return (written, changes) if written != body else (body, {})

    def changes(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the changes that the rules make to a request: name to value, or name to REMOVED.

        The model is decided first; the other rules use the model that is sent. A default is added only if the parameter
        is absent in every spelling, as some upstreams would otherwise read the default.
        """
        asked = requested_model(fields)
        model = self._model_sent(fields)
        tree: Tree = {}
        for name, value in self._defaults_for(model).values():
            if is_open_at(fields, path_of(name)):
                put(tree, path_of(name), value)
        for name, _ in collect(self.drop, model).values():
            if len(path := path_of(name)) == 1 or root_of(name) in tree or stands_at(fields, path):
                put(tree, path, REMOVED)
        for name, value in self._overrides_for(model).values():
            put(tree, path_of(name), value)
        tree.pop(MODEL, None)
        if model and model != asked:
            tree[MODEL] = (MODEL, model)
        return settled(tree, self._names.intersection(map(fold_name, fields)))

    def touches(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Return whether the rules set a parameter of a request, or would remove it."""
        key = fold_name(name)
        if key not in self._names:
            return False
        if key in self.reached_within and self._reach_within(key, fields):
            return True
        return key in map(fold_name, {**self.changes(fields), **self.changes({**fields, name: None})})

    def forces(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Return whether the rules force or remove a parameter, whatever the request says."""
        key = fold_name(name)
        return key in self._names and key in map(fold_name, self.changes({**fields, name: None}))

    @cached_property
    def look_at_the_model(self) -> bool:
        """Return whether the rules depend on the model of a request."""
        patterns = (pattern for pattern, _ in (*self.defaults, *self.drop, *self.overrides))
        return any(pattern != ANY_MODEL for pattern in patterns) or MODEL in collect(self.overrides, "")

    @cached_property
    def _names(self) -> frozenset[str]:
        """Return the folded names of all parameters in the rules."""
        return frozenset(root_of(name) for name in self._spelt)

    @cached_property
    def reached_within(self) -> frozenset[str]:
        """Return the folded names of the objects that dotted names reach into."""
        return frozenset(root_of(name) for name in self._spelt if len(path_of(name)) > 1)

    @cached_property
    def _spelt(self) -> tuple[str, ...]:
        """Return the names of all parameters in the rules, as spelt there."""
        rules = [parameters for _, parameters in (*self.defaults, *self.drop, *self.overrides)]
        inner = (by_name(rule) for parameters in rules for _, rule in parameters.values() if isinstance(rule, dict))
        return tuple(name for parameters in (*rules, *inner) for name, _ in parameters.values())

    @cached_property
    def _objects(self) -> frozenset[str]:
        """Return the folded names whose value is an object: each may be a parameter or a model."""
        return frozenset(
            key
            for _, parameters in (*self.defaults, *self.overrides)
            for key, (_, rule) in parameters.items()
            if isinstance(rule, dict)
        )

    def _defaults_for(self, model: str) -> Parameters:
        return for_named(collect(self.defaults, model), model)

    def _overrides_for(self, model: str) -> Parameters:
        return for_named(collect(self.overrides, model), model)

    def _reach_within(self, key: str, fields: Mapping[str, Any]) -> bool:
        """Return whether a rule for the request's model changes a member of a parameter."""
        model = self._model_sent(fields)
        rules = (self._defaults_for(model), collect(self.drop, model), self._overrides_for(model))
        names = (name for parameters in rules for name, _ in parameters.values())
        return any(len(path_of(name)) > 1 and root_of(name) == key for name in names)

    def _model_sent(self, fields: Mapping[str, Any]) -> str:
        asked = requested_model(fields)
        return self._choose_model(asked if isinstance(asked, str) else "")

    def _choose_model(self, asked: str) -> str:
        model = asked or str(collect(self.defaults, "").get(MODEL, (MODEL, ""))[1])
        return str(collect(self.overrides, model).get(MODEL, (MODEL, model))[1])


def requested_model(fields: Mapping[str, Any]) -> str | Mark | None:
    """Return the model of a request, in the canonical spelling, else in another; ALONE if it is no text."""
    spelt = [fields[MODEL]] if MODEL in fields else [fields[name] for name in fields if fold_name(name) == MODEL]
    return next((model for model in spelt if isinstance(model, str)), ALONE) if spelt else None


def limit_by_model(rules: Mapping[str, Any]) -> Limited:
    """Separate the general rules from those limited to models."""
    flat = {name: value for name, value in rules.items() if not is_model_pattern(name, value)}
    limited = tuple((name, by_name(value)) for name, value in rules.items() if is_model_pattern(name, value))
    return ((ANY_MODEL, by_name(flat)), *limited) if flat else limited


def split_drop(entry: str) -> tuple[str, Parameters]:
    """Split `model pattern:name`; a bare name is dropped for every model."""
    pattern, _, name = entry.rpartition(":")
    return pattern or ANY_MODEL, by_name({name: REMOVED})


def by_name(parameters: Mapping[str, Any]) -> Parameters:
    """Return parameters by folded name, whole parameters before members of them."""
    names = sorted(parameters, key=lambda name: len(path_of(name)))
    return {fold_name(name): (name, parameters[name]) for name in names}


def settled(tree: Tree, present: Collection[str]) -> dict[str, Any]:
    """Return the changes that rules make to a request with the parameters `present`, by the names in the rules."""
    changes: dict[str, Any] = {}
    for key, (name, value) in tree.items():
        if key not in present and isinstance(value, Within):
            changes |= {name: made} if (made := values_of(value)) else {}
        elif key in present or value is not REMOVED:
            changes[name] = value
    return changes


def limit_to_upstream(rules: Limited, upstream: str, known: Collection[str]) -> Iterator[tuple[str, Parameters]]:
    """Yield the rules that may apply to an upstream, their patterns without its name; names are in lower case."""
    for pattern, parameters in rules:
        prefix, slash, model = pattern.partition("/")
        if not (slash and model and prefix.lower() in known):
            yield pattern, parameters
        elif prefix.lower() == upstream:
            yield model, parameters


def for_named(rules: Parameters, model: str) -> Parameters:
    """Return the rules with those for exactly this model in place of the object under its name."""
    named = rules.get(fold_name(model.strip())) if model else None
    if named is None or not isinstance(named[1], dict):
        return rules
    others = {key: rule for key, rule in rules.items() if key != fold_name(model.strip())}
    return put_last(others, {k: rule for k, rule in by_name(named[1]).items() if root_of(rule[0]) not in UNTOUCHABLE})


def collect(rules: Limited, model: str) -> dict[str, tuple[str, Any]]:
    """Return the parameters whose pattern matches the model; later rules win."""
    chosen: dict[str, tuple[str, Any]] = {}
    for pattern, parameters in rules:
        if pattern == ANY_MODEL or matcher(pattern)(model.strip()):
            chosen = put_last(chosen, parameters)
    return chosen


def put_last(rules: Parameters, later: Parameters) -> dict[str, tuple[str, Any]]:
    """Return the rules with later ones appended; they replace rules of the same name."""
    if not rules:
        return dict(later)
    return {**{key: rule for key, rule in rules.items() if key not in later}, **later}


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Return a matcher for a pattern or its literal text, in any letter case, as many upstreams ignore case."""
    return re.compile(f"{translate(pattern)}|{re.escape(pattern)}\\Z", re.IGNORECASE).match
