"""Write values as compact JSON text."""

import json
import re
from collections.abc import Iterable

HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")  # no UTF-8 has one; as an escape it is JSON
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Written(str):
    """A value as JSON text; where values are written it is one of them, and stays as it is."""

    __slots__ = ()


def written(value: object) -> Written:
    """Return a value as JSON text."""
    if isinstance(value, Written):
        return value
    text = ENCODER.encode(value)
    return Written(ASCII_ENCODER.encode(value) if HALF_CHARACTER.search(text) else text)


def written_list(values: Iterable[object]) -> Written:
    """Return an array of values, some of them written already, as JSON text."""
    return Written(f"[{','.join(map(written, values))}]")
