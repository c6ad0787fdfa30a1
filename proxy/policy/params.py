"""The user's parameter rules: defaults fill, drop removes, overrides force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from proxy.policy.body import REMOVED
from proxy.settings.forms import is_model_pattern

ANY_MODEL = "*"

Limited = tuple[tuple[str, Mapping[str, Any]], ...]  # (model pattern, parameters), the general ones first


@dataclass(frozen=True)
class ParameterRules:
    """The rules of one settings snapshot, ready to apply."""

    defaults: Limited = ()
    drop: tuple[tuple[str, str], ...] = ()  # (model pattern, parameter)
    overrides: Limited = ()

    @classmethod
    def of(cls, defaults: Mapping[str, Any], drop: Sequence[str], overrides: Mapping[str, Any]) -> "ParameterRules":
        """Prepare rules as the settings hold them."""
        return cls(limit_by_model(defaults), tuple(split_drop(entry) for entry in drop), limit_by_model(overrides))

    def __bool__(self) -> bool:
        return bool(self.defaults or self.drop or self.overrides)

    def changes(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the rules set (name to value) and remove (name to REMOVED) in a request.

        The model is settled first; the other rules look at the model that is sent.
        """
        asked = body.get("model")
        model = asked if isinstance(asked, str) else ""
        model = self._settle_model(model)
        defaults, overrides = collect(self.defaults, model), collect(self.overrides, model)
        dropped = {name for pattern, name in self.drop if fnmatchcase(model, pattern)}
        changed: dict[str, Any] = {name: value for name, value in defaults.items() if name not in body}
        changed.update(dict.fromkeys(dropped, REMOVED))
        changed.update({name: value for name, value in overrides.items() if name != "model"})
        if model and model != asked:
            changed["model"] = model
        return {name: value for name, value in changed.items() if value is not REMOVED or name in body}

    def _settle_model(self, asked: str) -> str:
        model = asked or str(collect(self.defaults, "").get("model", ""))
        return str(collect(self.overrides, model).get("model", model))


def limit_by_model(rules: Mapping[str, Any]) -> Limited:
    """Take the flat rules and the limited ones apart."""
    flat = {name: value for name, value in rules.items() if not is_model_pattern(name, value)}
    limited = tuple((name, value) for name, value in rules.items() if is_model_pattern(name, value))
    return ((ANY_MODEL, flat), *limited) if flat else limited


def split_drop(entry: str) -> tuple[str, str]:
    """Take `model pattern:name` apart; a bare name is dropped for every model."""
    pattern, _, name = entry.rpartition(":")
    return pattern or ANY_MODEL, name


def collect(rules: Limited, model: str) -> dict[str, Any]:
    """Return the parameters whose pattern fits the model; later rules win."""
    chosen: dict[str, Any] = {}
    for pattern, parameters in rules:
        if fnmatchcase(model, pattern):
            chosen.update(parameters)
    return chosen
