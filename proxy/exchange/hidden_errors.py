"""Errors that come with a success status: told by their form, and given the status they should have had."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.errors.proxy_error import error_body
from proxy.stream.event_json import read_object

ERROR_INSIDE = re.compile(rb'"error"\s*:\s*[{"]|"object"\s*:\s*"error"')
RESULTS = ("choices", "output", "data", "object")  # what only a result has; some results speak of an error of their own
WITHOUT_STATUS = 502


def find_error(body: bytes) -> tuple[int, bytes] | None:
    """Return the status and the body of an error that was sent as a success, None where it is one."""
    if ERROR_INSIDE.search(body) is None or (value := read_object(body)) is None:
        return None
    error = value if value.get("object") == "error" else value.get("error")
    if not error or (error is not value and any(name in value for name in RESULTS)):
        return None
    if isinstance(error, dict) and error is not value and isinstance(error.get("message"), str):
        return status_of(error, value), body
    fields = error if isinstance(error, dict) else {"message": error}
    said = str(fields.get("message") or "The upstream sent an error without a message")
    code = fields.get("code") or fields.get("type")
    kind = str(fields.get("type") or "upstream_error")
    return status_of(fields, value), error_body(said, type=kind, code=str(code) if code else "upstream_error")


def status_of(*objects: Mapping[str, Any]) -> int:
    """Return the first HTTP status of an error that the objects name."""
    for value in (str(each.get(name)) for each in objects for name in ("status", "status_code", "code")):
        if value.isdecimal() and 400 <= int(value) < 600:
            return int(value)
    return WITHOUT_STATUS
