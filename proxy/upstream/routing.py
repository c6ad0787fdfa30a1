"""Which upstream a request goes to, and with which model: by alias, prefix, pattern or choice, in this order."""

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.errors.request import UnknownUpstream
from proxy.settings.model import Settings
from proxy.settings.upstreams import Upstream

MAX_REMEMBERED = 1_024  # models; many patterns take a while to be compared with one
MAX_MODEL_CHARACTERS = 256  # a longer name is none, and would take long to refuse

MAX_SAID_CHARACTERS = 64  # of a name that is none


@dataclass(frozen=True)
class Target:
    """An upstream to ask, and the model to ask it for."""

    upstream: Upstream
    model: str | None  # None where the request names none


class Routing:
    """The routes of one settings snapshot. For the event loop: a look-up remembers what it found.

    A model that was asked for before costs one dictionary read.
    """

    def __init__(self, settings: Settings) -> None:
        self._upstreams = {upstream.name: upstream for upstream in settings.upstreams}
        self._chosen = settings.chosen_upstream
        self._patterns = [(pattern.lower(), upstream) for upstream in settings.upstreams for pattern in upstream.models]
        self._aliases = {name: tuple(self._expand(name, settings)) for name in settings.proxy_aliases}
        self._found: dict[tuple[str | None, str | None], tuple[Target, ...]] = {}  # for models that were asked for
        self.is_plain = len(self._upstreams) == 1 and not self._aliases
        self.plain_prefix = f"{self._chosen.name}/"  # before a model's name; where there is no other upstream
        # The one target of all models but those with the upstream's name before them.
        self.only = Target(self._chosen, None) if self.is_plain and not self._chosen.fallback else None

    def targets(self, model: str | None, named: str | None = None) -> tuple[Target, ...]:
        """Return whom to ask, in order: the first answers, the others where it fails before its first byte.

        `named` is the upstream that a header asks for; it decides where nothing about the model does. Raises
        UnknownUpstream where it then is no upstream's name.
        """
        asked = (model, named)
        found = self._found.get(asked)
        if found is None:
            found = self._look_up(model, named)
            if model is None or len(model) <= MAX_MODEL_CHARACTERS:
                if len(self._found) >= MAX_REMEMBERED:
                    self._found.clear()
                self._found[asked] = found
        return found

    def _look_up(self, model: str | None, named: str | None) -> tuple[Target, ...]:
        if model is not None and (chain := self._aliases.get(model)) is not None:
            return chain
        first = self._target(model, named)
        if not first.upstream.fallback:
            return (first,)
        others = (self._upstreams[name] for name in first.upstream.fallback)
        return (first, *(Target(upstream, first.model) for upstream in others))

    def _target(self, model: str | None, named: str | None = None) -> Target:
        if model is None:
            return Target(self._named_or_chosen(named), None)
        prefix, slash, rest = model.partition("/")
        if slash and rest and (upstream := self._upstreams.get(prefix)) is not None:
            return Target(upstream, rest)
        if self._patterns and len(model) <= MAX_MODEL_CHARACTERS:
            folded = model.lower()
            for pattern, upstream in self._patterns:
                if fits(folded, pattern):
                    return Target(upstream, model)
        return Target(self._named_or_chosen(named), model)

    def _named_or_chosen(self, named: str | None) -> Upstream:
        if named is None:
            return self._chosen
        if named not in self._upstreams:
            raise UnknownUpstream(repr(named[:MAX_SAID_CHARACTERS]))
        return self._upstreams[named]

    def _expand(self, alias: str, settings: Settings) -> Iterator[Target]:
        """Yield the targets of an alias, those of the aliases it names among them; the settings hold no circle."""
        for target in settings.proxy_aliases[alias]:
            if target in settings.proxy_aliases:
                yield from self._expand(target, settings)
            else:
                yield self._target(target)


def fits(text: str, pattern: str) -> bool:
    """Tell whether a pattern fits a whole text: `*` stands for any text, `?` for any one character.

    It goes back to the last star alone, so that its time is at most the product of both lengths: an expression with
    many stars can take for ever.
    """
    if pattern[:-1].isalnum() and pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    at = star = -1
    here = there = 0
    while here < len(text):
        sign = pattern[there : there + 1]
        if sign == "*":
            star, at = there, here
            there += 1
        elif sign and sign in ("?", text[here]):
            here, there = here + 1, there + 1
        elif star >= 0:
            at += 1
            here, there = at, star + 1
        else:
            return False
    return not pattern[there:].strip("*")
