"""What is known of a request once it is over: how it went, and the tokens the upstream counted. No bodies."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

NAMES = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))  # completions', responses'
DECODER = json.JSONDecoder()


class Usage(NamedTuple):
    """The tokens of one request, as the upstream counted them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0  # of the input, those read from the upstream's cache
    reasoning_tokens: int = 0  # of the output, those the client does not see

    @classmethod
    def of(cls, counted: Mapping[str, Any] | None) -> "Usage | None":
        """Read the usage object of any endpoint, None where it holds no counts."""
        for up, down in NAMES:
            if counted and isinstance(counted.get(up), int):
                cached = count(counted.get(f"{up}_details"), "cached_tokens")
                reasoning = count(counted.get(f"{down}_details"), "reasoning_tokens")
                return cls(counted[up], count(counted, down), cached, reasoning)
        return None

    def __str__(self) -> str:
        return f"{self.input_tokens}+{self.output_tokens} tokens"


class Finished(NamedTuple):
    """One request that is over."""

    request_id: str
    key_name: str | None  # of the proxy key it came with; None where none was asked for
    method: str
    path: str
    seconds: float
    status: int | None  # None: the client left before there was one
    outcome: str  # what was not as it should be, "" where all was
    usage: Usage | None

    def __str__(self) -> str:
        told = (self.status, self.outcome, self.usage)
        said = " ".join(str(part) for part in told if part)
        name = f" [{self.key_name}]" if self.key_name else ""
        return f"{self.request_id}{name} {self.method} {self.path} {self.seconds:.3f} s {said}"


def count(counted: object, name: str) -> int:
    """Return a count, 0 where there is none."""
    value = counted.get(name) if isinstance(counted, dict) else None
    return value if isinstance(value, int) else 0


def find_usage(body: bytes) -> Mapping[str, Any] | None:
    """Return the usage object of a JSON answer without reading the rest: a text cannot hold its name unescaped."""
    place = body.rfind(b'"usage"')
    start = body.find(b"{", place)
    if place < 0 or start < 0:
        return None
    try:
        value, _ = DECODER.raw_decode(body[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
