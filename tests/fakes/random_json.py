"""Random JSON, written in all the ways JSON can be."""

import json
import random
from typing import Any

SPACES = ["", "", " ", "\n  ", "\t", "\r\n", " \n\t "]
NAMES = ["model", "temperature", "top_p", "stop", "metadata", "a b", "\u00e9t\u00e9", "\U0001f600", '"', "\\", "/", ""]


def random_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 3 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind == 2:
        return chance.randint(-(10 ** chance.randint(0, 25)), 10**6)
    if kind == 3:
        return chance.uniform(-1, 1) * 10.0 ** chance.randint(-300, 300)
    if kind < 7:
        return "".join(chance.choice('ab,:{}[]"\\/\n\t\u00e9\u2028\U0001f600 ') for _ in range(chance.randrange(8)))
    if kind == 7:
        return [random_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): random_value(chance, depth + 1) for _ in range(chance.randrange(4))}


def random_text(chance: random.Random, value: object) -> str:
    """Write a value as JSON with white space and escapes where chance wants them."""

    def space() -> str:
        return chance.choice(SPACES)

    if isinstance(value, dict):
        members = [
            f"{space()}{random_text(chance, name)}{space()}:{space()}{random_text(chance, member)}{space()}"
            for name, member in value.items()
        ]
        return "{" + (",".join(members) or space()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{space()}{random_text(chance, item)}{space()}" for item in value) + "]"
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)
