"""The upstream's refusals: passed on unchanged, but for those that need a word of ours."""

import json
import re
from collections.abc import Callable

from proxy.errors.proxy_error import error_body
from proxy.exchange.refusal_words import About, about, read_words
from proxy.http.headers import Headers
from proxy.stream.event_json import read_value

KEY_REFUSED = "The upstream refused the API key this proxy holds; give it a valid one (OPENAI_API_KEY)."
JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
DATA = b"data:"


def explain_refusal(
    status: int, headers: Headers, body: bytes, hide: Callable[[str], str], *, own_key: bool, key_hint: str = ""
) -> tuple[Headers, bytes, About]:
    """Return headers and body for the client, secrets taken out, and what the refusal is about.

    `own_key`: the proxy's own key was used; `key_hint` says what else may be done about it. A refusal of it is told in
    words of ours that hold the upstream's; every other that is JSON stays as it came.
    """
    body = hide_in(body, hide)
    words = read_words(body)
    subject = about(status, words)
    if subject == "credit":  # no waiting mends it, whoever waits
        headers = headers.replaced("x-should-retry", "false")
    about_our_key = own_key and subject == "key"
    if words.is_json and not about_our_key:
        return headers, body, subject
    said = words.message or f"The upstream answered {status} without an error message"
    if about_our_key:
        codes = ", ".join(dict.fromkeys(code for code in words.codes if code not in (words.kind, words.message)))
        said = f"{KEY_REFUSED}{key_hint} It said: {said}{f' (code {codes})' if codes else ''}"
    code = "upstream_invalid_api_key" if about_our_key else f"upstream_status_{status}"
    body = error_body(hide(said), type=words.kind or "upstream_error", code=code)
    return headers.without("content-encoding").replaced("content-type", "application/json"), body, subject


def hide_in(body: bytes, hide: Callable[[str], str]) -> bytes:
    """Take secrets out of a body; JSON stays JSON, and what holds none stays byte for byte as it is."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogateescape")
        hidden = hide_in_strings(text, hide) if read_value(body)[0] else hide(text)
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
