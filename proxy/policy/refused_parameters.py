"""Find the parameter that an upstream's error refuses, and the repair of the request. Pure functions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# What a request means the same without, or nearly so. Never its model, its conversation, its tools or its form.
DROPPED = frozenset(
    {
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "stream_options",
        "store",
        "prompt_cache_key",
        "metadata",
        "reasoning_effort",
    }
)
REPAIRABLE = DROPPED | RENAMED.keys()
CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})
SAYS_UNSUPPORTED = re.compile(
    r"unsupported|not supported|not support\b|unrecogni[sz]ed|extra_forbidden"
    r"|unknown (?:name|parameter|field|argument|key)"
    r"|extra (?:inputs|fields)|not permitted|not allowed|unexpected (?:keyword|field|property)|additional propert"
    r"|only the default .{0,40}supported",
    re.IGNORECASE,
)
MAX_READ_BYTES = 65_536


@dataclass(frozen=True)
class Repair:
    """A change of a request: a parameter is removed or renamed."""

    parameter: str
    new_name: str | None = None

    def __str__(self) -> str:
        return f"{self.parameter} sent as {self.new_name}" if self.new_name else f"{self.parameter} dropped"


def repair_for(body: bytes | None, fields: Mapping[str, Any]) -> Repair | None:
    """Return the repair for a request that was refused with this body, None if there is none."""
    name = refused_parameter(body, fields)
    if name is None:
        return None
    new_name = RENAMED.get(name)
    return Repair(name, new_name if new_name is not None and new_name not in fields else None)


def refused_parameter(body: bytes | None, fields: Mapping[str, Any]) -> str | None:
    """Return the request's parameter that an error names as unsupported."""
    if not body or len(body) > MAX_READ_BYTES:
        return None
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    mine = [name for name in REPAIRABLE if name in fields]
    named = [part for part in said_names(value) if part in mine]
    if not (set(said_codes(value)) & CODES or SAYS_UNSUPPORTED.search(text)):
        return None
    if named:
        return named[0]
    if any(True for _ in said_names(value)):  # it names another one
        return None
    places = {name: found.start() for name in mine if (found := re.search(rf"\b{name}\b", text))}
    return min(places, key=lambda name: places[name]) if places else None


def said_codes(value: object) -> Iterator[str]:
    """Yield the error codes and types in an answer, in any provider's form."""
    for error in errors_in(value):
        yield from (code for key in ("code", "type") if isinstance(code := error.get(key), str))


def said_names(value: object) -> Iterator[str]:
    """Yield the parameters that errors name in `param`, or in pydantic's `loc`."""
    for error in errors_in(value):
        if isinstance(param := error.get("param"), str) and param:
            yield re.split(r"[.\[]", param.removeprefix("body."), maxsplit=1)[0]
        if isinstance(loc := error.get("loc"), list):
            yield from (part for part in loc if isinstance(part, str) and part != "body")


def errors_in(value: object, depth: int = 4) -> Iterator[dict[str, Any]]:
    """Yield each object that may be an error: the body, and the members in which providers put errors."""
    if depth == 0:
        return
    if isinstance(value, list):
        for part in value[:20]:
            yield from errors_in(part, depth - 1)
    elif isinstance(value, dict):
        yield value
        for key in ("error", "detail", "errors", "message"):
            yield from errors_in(value.get(key), depth - 1)
