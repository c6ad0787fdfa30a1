"""Write a request as a command for curl and as a Python program; the key is the environment's OPENAI_API_KEY.

Keys are taken out of each piece before it is quoted: the whole has words of its own that look like one.
"""

import pprint
import shlex
from collections.abc import Callable
from typing import Any

from proxy.capture import bodies
from proxy.capture.conversation import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from proxy.capture.headers import is_secret, shown_query
from proxy.capture.hiding import Hide, hidden
from proxy.capture.record import Record

WIDTH = 100
# Of the client and its connection, not of the request.
NOT_COPIED = ("user-agent", "accept", "accept-language", "content-type", "x-title", "http-referer", "priority")
NOT_COPIED_PREFIXES = ("x-stainless-", "sec-")
METHODS = {
    CHAT: ("chat.completions.create", ("model", "messages", "stream")),
    RESPONSES: ("responses.create", ("model", "input", "stream")),
    COMPLETIONS: ("completions.create", ("model", "prompt", "stream")),
    EMBEDDINGS: ("embeddings.create", ("model", "input")),
}


def curl(record: Record, base_url: str, hide: Hide) -> str:
    """Return the command, for the shells of Unix; raises UnicodeDecodeError where the body is no text."""
    return curl_for(record, base_url, hide, quote=shlex.quote, key="$OPENAI_API_KEY", line_end=" \\")


def curl_for(
    record: Record,
    base_url: str,
    hide: Hide,
    *,
    quote: Callable[[str], str],
    key: str,
    line_end: str,
    written: Callable[[str], str] = str,
) -> str:
    """Return the command for a shell that quotes so, names the key's variable so and continues a line so."""
    lines = [f"curl -sS -N {quote(hide(address(record, base_url)))}", f'-H "Authorization: Bearer {key}"']
    if record.flow.method not in ("GET", "POST"):
        lines.append(f"-X {quote(record.flow.method)}")
    lines += [f"-H {quote(f'{name}: {value}')}" for name, value in copied_headers(record, hide)]
    if record.body:
        lines.append(f"-H {quote('Content-Type: ' + content_type(record))}")
        lines.append(f"--data-raw {quote(written(hide(record.body.decode('utf-8'))))}")
    elif record.flow.method == "POST":
        lines.append("-X POST")
    return f"{line_end}\n  ".join(lines) + "\n"


def python(record: Record, base_url: str, hide: Hide) -> str:
    """Return the program, with the openai package where it has a method for it; raises UnicodeDecodeError as `curl`."""
    fields, api = hidden(bodies.fields_in(record.body), hide), bodies.api_of(record)
    if fields is None or api not in METHODS or record.query:
        return plain_python(record, base_url, hide)
    method, own = METHODS[api]
    given = {name: fields[name] for name in own if name in fields}
    extra = {name: value for name, value in fields.items() if name not in own}
    lines = [f"    {name}={literal(value, 4)}," for name, value in given.items()]
    if extra:
        lines.append(f"    extra_body={literal(extra, 4)},")
    if headers := dict(copied_headers(record, hide)):
        lines.append(f"    extra_headers={literal(headers, 4)},")
    shown = (
        ["for event in answer:", "    print(event.model_dump_json())"]
        if fields.get("stream") is True
        else ["print(answer.model_dump_json(indent=2))"]
    )
    return "\n".join(
        (
            "from openai import OpenAI",
            "",
            f"client = OpenAI(base_url={base_url!r})  # the key is that of OPENAI_API_KEY",
            f"answer = client.{method}(",
            *lines,
            ")",
            *shown,
            "",
        )
    )


def plain_python(record: Record, base_url: str, hide: Hide) -> str:
    """Return the program with httpx alone."""
    headers = ['"Authorization": f"Bearer {os.environ[\'OPENAI_API_KEY\']}"']
    headers += [f"{name!r}: {value!r}" for name, value in copied_headers(record, hide)]
    lines = [f"    {record.flow.method!r},", f"    {hide(address(record, base_url))!r},"]
    if record.body:
        headers.append(f"'Content-Type': {content_type(record)!r}")
        lines.append(f"    content={hide(record.body.decode('utf-8'))!r}.encode(),")
    lines.append(f"    headers={{{', '.join(headers)}}},")
    lines.append("    timeout=600,")
    return "\n".join(
        ("import os", "", "import httpx", "", "answer = httpx.request(", *lines, ")", "print(answer.text)", "")
    )


def address(record: Record, base_url: str) -> str:
    """Return the request's address at the proxy, without what may be secret in it."""
    query = shown_query(record.query)
    return base_url + record.flow.path + (f"?{query}" if query else "")


def copied_headers(record: Record, hide: Hide) -> list[tuple[str, str]]:
    """Return the headers that mean something to the upstream, without secrets."""
    return [
        (name, hide(value))
        for name, value in record.headers
        if name not in NOT_COPIED
        and not name.startswith(NOT_COPIED_PREFIXES)
        and not is_secret(name)
        and name != "content-encoding"
    ]


def content_type(record: Record) -> str:
    """Return the type of the body."""
    return record.headers.get("content-type") or "application/json"


def literal(value: Any, indent: int) -> str:
    """Return a value as Python, its further lines indented."""
    text = pprint.pformat(value, width=WIDTH - indent, sort_dicts=False)
    return text.replace("\n", "\n" + " " * indent)
