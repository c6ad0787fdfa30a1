"""Change a JSON body whose members are known: what is only added is written at its end, and the rest is not read."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from json import dumps
from typing import Any

from proxy.policy.body import Mark, rewrite, write_value
from proxy.settings.parsing import fold_name

SPACE = b" \t\n\r"


def rewrite_known(body: bytes, changes: Mapping[str, Any], names: Iterable[str]) -> bytes:
    """Return what `rewrite` returns; `names` are those of all members of the body. Raises InvalidJson."""
    keys = set(map(folded, changes))
    names = list(names)
    if not keys.isdisjoint(map(fold_name, names)) or not body.endswith(b"}"):
        return rewrite(body, changes)
    added = ",".join(
        [f"{dumps(name)}:{write_value(value)}" for name, value in changes.items() if not isinstance(value, Mark)]
    )
    if not added:
        return body
    end = len(body) - 1  # behind the last member: the body may be large, and is copied once
    while body[end - 1] in SPACE:
        end -= 1
    return b"".join((memoryview(body)[:end], b"," if names else b"", added.encode(), body[end:]))


@lru_cache(maxsize=256)
def folded(name: str) -> str:
    """Return the canonical form of the name of a parameter that rules and stages change: there are few of those."""
    return fold_name(name)
