r"""The filter language of the list of requests, read into a function that tells whether a row fits.

    status:cut model:gpt-5* client:zed upstream:groq tokens>50000 text:"out of memory" -client:zed

Terms are joined by spaces, and all must fit. `name:value` compares words without regard to case, with `*` and `?` as
wildcards; without any, a part of the word is enough. `name>number`, `>=`, `<`, `<=`, `=` compare numbers; `k` and `M`
may stand behind them. `-` before a term turns it round. A word alone is looked for in every word of the row. A value
with spaces stands in quotes; a backslash there takes the next sign as it is.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

MAX_CHARACTERS = 2_000
MAX_TERMS = 50

Row = Mapping[str, Any]
Text = Callable[[], str]  # the words of a request and its answer, worked out where they are asked for
Test = Callable[[Row, Text], bool]

WORDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "outcome", "outcome_words"),
    "outcome": ("outcome", "outcome_words"),
    "model": ("model_asked", "model_sent"),
    "client": ("client",),
    "key": ("key",),
    "upstream": ("upstream",),
    "endpoint": ("endpoint",),
    "method": ("method",),
    "id": ("id",),
    "error": ("error",),
}
NUMBERS: dict[str, tuple[str, ...]] = {
    "tokens": ("input_tokens", "output_tokens"),  # their sum
    "input": ("input_tokens",),
    "cached": ("cached_tokens",),
    "output": ("output_tokens",),
    "reasoning": ("reasoning_tokens",),
    "cost": ("cost_usd",),
    "duration": ("duration_s",),
    "first_byte": ("first_byte_s",),
    "speed": ("tokens_per_s",),
    "bytes": ("bytes_up", "bytes_down"),
    "attempts": ("attempts",),
    "rounds": ("tool_rounds",),
    "status": ("status",),
}
TEXT = "text"
COMPLETED = ("client", "endpoint", "key", "model", "outcome", "upstream")
NAMES = sorted({*WORDS, *NUMBERS, TEXT})
FACTORS = {"": 1.0, "k": 1e3, "m": 1e6}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    "=": lambda one, other: one == other,
}

VALUE = r'"(?:[^"\\]|\\.)*"|[^\s"]*'
TERM = re.compile(rf"(?P<not>-?)(?:(?P<name>[A-Za-z_]+)(?P<sign>:|[<>]=?|=))?(?P<value>{VALUE})(?=\s|\Z)", re.DOTALL)
NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([km]?)", re.IGNORECASE)
SPACE = re.compile(r"\s*")


class WrongFilter(ValueError):
    """A filter that cannot be read; its words say where and why."""


@dataclass(frozen=True)
class Filter:
    """A filter that was read: all its terms must fit."""

    terms: tuple[Test, ...] = ()

    def fits(self, row: Row, text: Text) -> bool:
        """Tell whether a row fits; `text` is called where its words are looked for."""
        return all(term(row, text) for term in self.terms)


def parse(written: str) -> Filter:
    """Read a filter; raises WrongFilter."""
    if len(written) > MAX_CHARACTERS:
        raise WrongFilter(f"the filter is longer than {MAX_CHARACTERS:,} characters")
    terms: list[Test] = []
    place = SPACE.match(written).end()  # type: ignore[union-attr]  # it fits anything
    while place < len(written):
        term = TERM.match(written, place)
        if term is None or term.end() == place:
            raise WrongFilter(f"cannot read {written[place : place + 40]!r}: is a quote missing?")
        terms.append(test_of(term["not"] == "-", term["name"], term["sign"], term["value"]))
        place = SPACE.match(written, term.end()).end()  # type: ignore[union-attr]  # as above
        if len(terms) > MAX_TERMS:
            raise WrongFilter(f"the filter has more than {MAX_TERMS} terms")
    return Filter(tuple(terms))


def test_of(is_not: bool, name: str | None, sign: str | None, written: str) -> Test:
    """Return the test of one term; raises WrongFilter."""
    value = unquoted(written)
    if name is None:
        test = anywhere(value)
    elif not value:
        raise WrongFilter(f"there is nothing after {name}{sign}")
    else:
        test = named(name.lower(), sign or "", value)
    return (lambda row, text: not test(row, text)) if is_not else test


def named(name: str, sign: str, value: str) -> Test:
    """Return the test of a term with a name; raises WrongFilter."""
    if name not in NAMES:
        raise WrongFilter(f"there is no {name!r}; there are {', '.join(NAMES)}")
    if name == TEXT and sign == ":":
        folded = value.casefold()
        return lambda _, text: folded in text().casefold()
    if sign == ":" and name in WORDS:
        return words_of(WORDS[name], value)
    if name in NUMBERS:
        return number_of(NUMBERS[name], "=" if sign == ":" else sign, value)
    raise WrongFilter(f"{name} is compared with a colon: {name}:{value}")


def words_of(fields: tuple[str, ...], value: str) -> Test:
    """Return whether a field holds the word, or fits the pattern."""
    fits = fitting(value)
    return lambda row, _: any(row.get(field) is not None and fits(str(row[field])) for field in fields)


def number_of(fields: tuple[str, ...], sign: str, value: str) -> Test:
    """Return whether the fields' sum compares as it should; what is unknown never does. Raises WrongFilter."""
    read = NUMBER.fullmatch(value)
    if read is None:
        raise WrongFilter(f"{value[:40]!r} is no number")
    wanted, compare = float(read[1]) * FACTORS[read[2].lower()], COMPARE[sign]

    def test(row: Row, text: Text) -> bool:  # noqa: ARG001  a test's signature
        values = [row[field] for field in fields if row.get(field) is not None]
        return bool(values) and compare(sum(values), wanted)

    return test


def anywhere(value: str) -> Test:
    """Return whether any word of the row holds the value."""
    fits = fitting(value)
    fields = sorted({field for fields in WORDS.values() for field in fields})
    return lambda row, _: any(row.get(field) is not None and fits(str(row[field])) for field in fields)


def fitting(value: str) -> Callable[[str], bool]:
    """Return how a word is compared: as a pattern where there are wildcards, else a part of it is enough."""
    folded = value.casefold()
    if "*" in folded or "?" in folded:
        pattern = folded.replace("[", "[[]")  # brackets are themselves here
        return lambda word: fnmatchcase(word.casefold(), pattern)
    return lambda word: folded in word.casefold()


def values_in(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Return the words that stand in rows, by the name of what they are: those to complete a filter with."""
    found: dict[str, set[str]] = {name: set() for name in COMPLETED}
    for row in rows:
        for name in COMPLETED:
            found[name].update(row[field] for field in WORDS[name] if isinstance(row.get(field), str))
    return {name: sorted(words) for name, words in found.items()}


def unquoted(written: str) -> str:
    """Return a value without its quotes."""
    if len(written) > 1 and written.startswith('"') and written.endswith('"'):
        return re.sub(r"\\(.)", r"\1", written[1:-1], flags=re.DOTALL)
    return written
