"""Readers of JSON objects as upstreams are: each takes another one of several members; and names spelt in many ways."""

import json
import random
from collections.abc import Callable
from typing import Any

Pairs = list[tuple[str, Any]]
MISSING = "missing"


def pairs_of(body: bytes) -> Pairs:
    """Return the members of an object as they stand there; objects within are dicts."""

    def keep(pairs: Pairs) -> dict[str, Any]:
        kept.append(pairs)
        return dict(pairs)

    kept: list[Pairs] = []
    json.loads(body, object_pairs_hook=keep)
    return kept[-1]  # the outermost is complete last


def last_wins(body: bytes, name: str) -> Any:
    """Read as most do."""
    return json.loads(body).get(name, MISSING)


def first_wins(body: bytes, name: str) -> Any:
    """Read as those who search for the name and stop there (gjson)."""
    return next((value for other, value in pairs_of(body) if other == name), MISSING)


def like_go(body: bytes, name: str) -> Any:
    """Read as Go's encoding/json: without case, the last wins, and null changes nothing."""
    read: Any = MISSING
    for other, value in pairs_of(body):
        if "".join({"\u017f": "s", "\u212a": "k"}.get(letter, letter) for letter in other).lower() == name:
            read = read if value is None else value
    return read


def like_c(body: bytes, name: str) -> Any:
    """Read as cJSON: without ASCII case, up to a zero byte, the first wins."""
    for other, value in pairs_of(body):
        if other.partition("\0")[0].encode().lower() == name.encode():
            return value
    return MISSING


def like_protobuf(body: bytes, name: str) -> Any:
    """Read as protobuf's JSON: by the name or its lowerCamelCase, the last wins."""
    return next((value for other, value in reversed(pairs_of(body)) if other in (name, camel(name))), MISSING)


READERS: dict[str, Callable[[bytes, str], Any]] = {
    reader.__name__: reader for reader in (last_wins, first_wins, like_go, like_c, like_protobuf)
}


def camel(name: str) -> str:
    """Return a name in lowerCamelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def spelt(chance: random.Random, name: str) -> str:
    """Return a JSON text for a name, as it is or in one of the spellings some reader takes for it."""
    kind = chance.randrange(4)
    if kind == 0:
        return f'"{name}"'
    if kind == 1:
        return f'"{camel(name)}"'
    zero = "\\u0000x" if chance.random() < 0.1 else ""
    return '"' + "".join(spelt_letter(chance, letter, odd=kind == 3) for letter in name) + zero + '"'


def spelt_letter(chance: random.Random, letter: str, *, odd: bool) -> str:
    """Return a letter in either case, plain or escaped, or its odd sister in Unicode."""
    letter = chance.choice((letter, letter, letter.upper()))
    if odd and letter.lower() in "sk" and chance.random() < 0.5:
        letter = {"s": "\u017f", "k": "\u212a"}[letter.lower()]
    escape = chance.choice((f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"))
    return escape if chance.random() < 0.2 else letter
