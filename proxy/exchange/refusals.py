"""The upstream's refusals: passed on unchanged, but for those that need a word of ours."""

import json
import re
from collections.abc import Callable
from typing import Any

from proxy.errors.proxy_error import error_body
from proxy.http.headers import Headers

KEY_REFUSED = "The upstream refused the API key this proxy holds; give it a valid one (OPENAI_API_KEY)."
KEY_STATUSES = (401, 403)
JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
DATA = b"data:"


def explain_refusal(
    status: int, headers: Headers, body: bytes, hide: Callable[[str], str], *, own_key: bool
) -> tuple[Headers, bytes]:
    """Return headers and body for the client, secrets taken out; `own_key`: the proxy's own key was used."""
    body = hide_in(body, hide)
    error = read_error(body)
    about_our_key = own_key and status in KEY_STATUSES
    if error is not None and not about_our_key:
        return headers, body
    said = str((error or {}).get("message") or f"The upstream answered {status} without an error message")
    kind = str((error or {}).get("type") or "upstream_error")
    if about_our_key:
        code = (error or {}).get("code")
        said = hide(f"{KEY_REFUSED} It said: {said}{f' (code {code})' if code else ''}")
    body = error_body(
        said, type=kind, code="upstream_invalid_api_key" if about_our_key else f"upstream_status_{status}"
    )
    return headers.replaced("content-type", "application/json"), body


def hide_in(body: bytes, hide: Callable[[str], str]) -> bytes:
    """Take secrets out of a body; JSON stays JSON, and what holds none stays byte for byte as it is."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogateescape")
        hidden = hide_in_strings(text, hide) if read_error(body) is not None else hide(text)
        return body if hidden == text else hidden.encode(encoding, "surrogateescape")
    except UnicodeError:  # half of a character, in an encoding that is not told of such
        return hide(body.decode("latin-1")).encode("latin-1", "replace")


def hide_in_strings(text: str, hide: Callable[[str], str]) -> str:
    """Take secrets out of the strings of a JSON text, however these are written."""

    def hide_one(match: re.Match[str]) -> str:
        written: str = match[0]
        try:
            string = json.loads(written, strict=False)
        except ValueError:
            return hide(written)
        hidden = hide(string)
        return written if hidden == string else json.dumps(hidden)

    return JSON_STRING.sub(hide_one, text)


def hide_in_event(raw: bytes, hide: Callable[[str], str]) -> bytes:
    """Take secrets out of an event of a stream."""
    return b"".join(
        DATA + hide_in(line[len(DATA) :], hide) if line.startswith(DATA) else hide_in(line, hide)
        for line in raw.splitlines(keepends=True)
    )


def read_error(body: bytes) -> dict[str, Any] | None:
    """Return the error object of a JSON body, {} where it is JSON of another shape, None where it is no JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}
