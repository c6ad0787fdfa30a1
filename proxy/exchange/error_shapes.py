"""Errors in the form of the API that was called: Claude's clients read another one than OpenAI's."""

import json

from proxy.http.answer import WholeAnswer, whole
from proxy.stream.event_json import read_object
from proxy.stream.messages import API_ERROR, ERROR_TYPES, error_object

MESSAGES = "/messages"
NOT_SPOKEN = (
    "This upstream does not speak Claude's API: it has no /v1/messages. Choose one that does for this model, such as "
    "https://api.anthropic.com (see `upstream add`)."
)
NO_SUCH_ADDRESS = (404, 405)


def speaks_claude(path: str) -> bool:
    """Tell whether an address below /v1 is one of Claude's API."""
    return path == MESSAGES or path.startswith(f"{MESSAGES}/")


def in_form_of(path: str, status: int, body: bytes, *, is_upstreams: bool = False) -> bytes:
    """Return an error's body in the form that clients of an address read; one that has it already stays as it is.

    `is_upstreams` says that an upstream has answered so, and not the proxy.
    """
    if not speaks_claude(path):
        return body
    value = read_object(body)
    if value is not None and value.get("type") == "error" and isinstance(value.get("error"), dict):
        return body
    error = value.get("error") if value is not None else None
    told = dict(error) if isinstance(error, dict) else {"message": body.decode("utf-8", "replace")}
    if is_upstreams and status in NO_SUCH_ADDRESS:
        told["message"] = f"{NOT_SPOKEN} It said: {told.get('message') or status}"
    shaped = error_object(told, ERROR_TYPES.get(status, API_ERROR))
    return json.dumps(shaped, ensure_ascii=False).encode("utf-8", "backslashreplace")


def reshaped(path: str, answer: WholeAnswer, *, is_upstreams: bool) -> WholeAnswer:
    """Return a refusal in the form that clients of an address read."""
    body = answer.body or b""
    shaped = in_form_of(path, answer.status, body, is_upstreams=is_upstreams)
    if shaped is body:
        return answer
    again = whole(answer.status, answer.headers.replaced("content-type", "application/json"), shaped)
    again.failure = answer.failure
    return again
