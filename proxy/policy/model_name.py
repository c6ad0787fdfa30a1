"""Replace the model in a body: directly in the simple case, else as any other parameter."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from proxy.policy.body import ESCAPED_LETTER, rewrite, write_value
from proxy.policy.params import MODEL
from proxy.settings.parameters import PARAMETERS
from proxy.settings.parsing import fold_name

NAME = b'"model"'
OTHER_PARAMETERS = frozenset(name for name in PARAMETERS | {"messages", "input"} if fold_name(name) != MODEL)
KNOWN_PARAMETERS = OTHER_PARAMETERS | {MODEL}
PLAIN_MODEL = re.compile(rb'[ \t\n\r]*:[ \t\n\r]*("[^"\\]*")')


def with_model(body: bytes, fields: Mapping[str, Any], model: str) -> bytes:
    """Return a body, read as `fields`, with another model and every other byte unchanged; raises InvalidJson."""
    place = body.find(NAME)
    end = place + len(NAME)
    if place >= 0 and body.find(NAME, end) < 0 and is_named_once(fields) and not ESCAPED_LETTER.search(body):
        value = PLAIN_MODEL.match(body, end)
        if value is not None:
            start, end = value.span(1)
            return b"".join((body[:start], written(model), body[end:]))
    return rewrite(body, {MODEL: model})


@lru_cache(maxsize=256)
def written(model: str) -> bytes:
    """Return a model's name as JSON."""
    return write_value(model).encode()


def is_named_once(fields: Mapping[str, Any]) -> bool:
    """Return whether a request names its model in the canonical spelling only."""
    if MODEL not in fields:
        return False
    if KNOWN_PARAMETERS.issuperset(fields):
        return True
    others = fields.keys() - OTHER_PARAMETERS
    return len(others) == 1 or not any(name != MODEL and fold_name(name) == MODEL for name in others)
