"""Read what is held of a request: its JSON, as it came and as it was sent, and which API it speaks."""

from typing import Any

from proxy.capture.conversation import API_OF, OTHER
from proxy.capture.record import Record
from proxy.policy.endpoints import json_endpoint
from proxy.stream.event_json import read_value


def api_of(record: Record) -> str:
    """Return which API a request speaks."""
    return API_OF.get(json_endpoint(record.flow.path) or "", OTHER)


def sent_body(record: Record) -> bytes | None:
    """Return the body as it was first sent, the client's where none was sent yet; None where it is not held."""
    return next((attempt.body for attempt in list(record.attempts) if attempt.body is not None), record.body)


def sent_fields(record: Record) -> dict[str, Any] | None:
    """Return the JSON object that was sent, None where there is none."""
    return fields_in(sent_body(record))


def fields_in(body: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in a body, None where there is none."""
    if not body:
        return None
    _, value = read_value(body)
    return value if isinstance(value, dict) else None
