"""Errors that come with a success status: told by their form, and given the status they should have had."""

import json
import re
from collections.abc import Mapping
from typing import Any

from proxy.errors.proxy_error import error_body
from proxy.stream.event_json import read_object

ERROR_INSIDE = re.compile(rb'"error"\s*:\s*[{"]|"object"\s*:\s*"error"')
RESULTS = ("choices", "output", "data", "object")  # what only a result has; some results speak of an error of their own
WITHOUT_STATUS = 502
HTTP_ERROR = re.compile(r"[45][0-9][0-9]")


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
    said = written(fields.get("message")) or "The upstream sent an error without a message"
    kind = written(fields.get("type")) or "upstream_error"
    return status_of(fields, value), error_body(said, type=kind, code=written(fields.get("code")) or kind)


def written(value: object) -> str:
    """Return what an upstream has said as text, "" where it has said nothing, or nothing that could be written."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value else ""
    except RecursionError:
        return ""


def status_of(*objects: Mapping[str, Any]) -> int:
    """Return the first HTTP status of an error that the objects name."""
    for value in (each.get(name) for each in objects for name in ("status", "status_code", "code")):
        if isinstance(value, (str, int)) and HTTP_ERROR.fullmatch(str(value)):
            return int(value)
    return WITHOUT_STATUS
