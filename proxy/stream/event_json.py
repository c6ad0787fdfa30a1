"""Read the JSON of events and answers: an object, or nothing."""

import json
from typing import Any

from proxy.errors.upstream import UpstreamInvalidEvent
from proxy.http.json_values import holds_too_many

ARGUMENTS = b"arguments"  # of tool calls; some upstreams send them as an object


class Doubled(dict[str, Any]):
    """An object that names a member twice: the last one counts, and both are there again when it is written."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]  # a list is all that a writer of JSON asks for
        """Return every member."""
        return self._pairs


def read_event(data: bytes) -> Any:
    """Return the object an event holds, or one of the values that SDKs pass over; raises UpstreamInvalidEvent."""
    is_json, value = read_value(data)
    if not is_json or (isinstance(value, (list, str)) and value):
        raise UpstreamInvalidEvent
    return value


def read_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object that bytes hold, None where they hold none; no member of a call's arguments is lost."""
    _, value = read_value(data)
    return value if isinstance(value, dict) else None


def read_value(data: bytes) -> tuple[bool, Any]:
    """Return whether bytes hold JSON, and its value; what is nested too deeply, or holds too much, is none."""
    if holds_too_many(data):
        return False, None
    try:
        return True, json.loads(data, object_pairs_hook=keep_members) if ARGUMENTS in data else json.loads(data)
    except (ValueError, RecursionError):
        return False, None


def keep_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of which no member is lost."""
    value = dict(pairs)
    return value if len(value) == len(pairs) else Doubled(pairs)


def write_event(value: object, name: str = "") -> bytes:
    """Write a value as an event, with a name where the format has them."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % text
