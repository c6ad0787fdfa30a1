"""The JSON that the scripts of the dashboard send and get. No key is in an answer."""

from typing import Any

from flask import Response, request

from proxy.capture.hiding import Hide, hidden_json

Answered = tuple[Response, int]


def sent_object() -> dict[str, Any]:
    """Return the JSON object of the request's body, an empty one where it has none."""
    value = request.get_json(silent=True)
    return value if isinstance(value, dict) else {}


def json_answer(value: object, status: int = 200, *, hide: Hide) -> Answered:
    """Answer with a value as JSON; `hide` takes the keys out of its texts."""
    return Response(hidden_json(value, hide), content_type="application/json"), status


def object_answer(status: int = 200, *, hide: Hide, **members: object) -> Answered:
    """Answer with an object of these members likewise."""
    return json_answer(members, status, hide=hide)
