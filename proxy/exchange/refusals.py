"""The upstream's refusals: passed on unchanged, but for those that need a word of ours."""

import json
from collections.abc import Callable
from typing import Any

from proxy.errors import error_body
from proxy.policy.headers import Headers

KEY_REFUSED = "The upstream refused the API key this proxy holds; give it a valid one (OPENAI_API_KEY)."
KEY_STATUSES = (401, 403)


def explain_refusal(
    status: int, headers: Headers, body: bytes, hide: Callable[[str], str] | None
) -> tuple[Headers, bytes]:
    """Return headers and body for the client; `hide` is given where the proxy's own key was used."""
    if hide is not None:
        body = hide_in(body, hide)
    error = read_error(body)
    about_our_key = hide is not None and status in KEY_STATUSES
    if error is not None and not about_our_key:
        return headers, body
    said = str((error or {}).get("message") or f"The upstream answered {status} without an error message")
    kind = str((error or {}).get("type") or "upstream_error")
    if hide is not None and about_our_key:
        code = (error or {}).get("code")
        said = hide(f"{KEY_REFUSED} It said: {said}{f' (code {code})' if code else ''}")
    body = error_body(
        said, type=kind, code="upstream_invalid_api_key" if about_our_key else f"upstream_status_{status}"
    )
    return [("content-type", "application/json"), *((n, v) for n, v in headers if n != "content-type")], body


def hide_in(body: bytes, hide: Callable[[str], str]) -> bytes:
    """Take keys out of a body; one without keys, or that is no text, stays byte for byte as it is."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    hidden = hide(text)
    return body if hidden == text else hidden.encode()


def read_error(body: bytes) -> dict[str, Any] | None:
    """Return the error object of a JSON body, {} where it is JSON of another shape, None where it is no JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}
