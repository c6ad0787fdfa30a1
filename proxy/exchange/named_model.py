"""The model that a request names which is only passed on: in its JSON, in a field of its form, or in its address."""

import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote, unquote_plus

from proxy.errors.proxy_error import ProxyError
from proxy.exchange.heavy import off_loop
from proxy.exchange.request import Request
from proxy.policy.body import read_object as read_body
from proxy.policy.body import rewrite
from proxy.policy.params import MODEL

# A form is held so far, where it matters which model it names: clients may write the file before the model.
HELD_BYTES = 33_554_432
JSON = re.compile(r"application/json\b", re.IGNORECASE)
FORM = re.compile(r"multipart/form-data\s*;.*?\bboundary=(?:\"([^\"]+)\"|([^;\s]+))", re.IGNORECASE)
DISPOSITION = re.compile(rb"^content-disposition:[^\r\n]*", re.IGNORECASE | re.MULTILINE)
NAMES_MODEL = re.compile(rb";\s*name=(?:\"model\"|model\b)", re.IGNORECASE)
HAS_FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
IN_QUERY = re.compile(r"(?:(?<=&)|^)model=([^&]*)")
MAX_PARTS = 256
MAX_PART_HEAD = 4_096
MAX_NAME_BYTES = 1_024


async def named_model(request: Request) -> str | None:
    """Return the model a request names in its body or its address; what is read of an arriving body is held."""
    if request.head.method not in ("GET", "HEAD") and not request.headers.get("content-encoding"):
        await hold(request)
        if isinstance(request.body, bytes):
            kind, body = request.headers.get("content-type"), request.body
            if model := await off_loop(len(body), in_body, kind, body):
                return model
    found = IN_QUERY.search(request.head.query)
    return unquote_plus(found[1]) if found and found[1] else None


async def hold(request: Request) -> None:
    """Read a form that is still arriving, as far as one is held; what is longer goes on as it arrives."""
    body = request.body
    if body is None or isinstance(body, bytes) or not is_read(request.headers.get("content-type")):
        return
    if request.length is not None and request.length > HELD_BYTES:
        return
    pieces: list[bytes] = []
    size = 0
    arriving = aiter(body)
    async for piece in arriving:
        pieces.append(piece)
        size += len(piece)
        if size > HELD_BYTES:
            request.body = behind(pieces, arriving)
            return
    request.body, request.length = b"".join(pieces), size


async def behind(pieces: list[bytes], arriving: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was held, then the rest as it arrives."""
    while pieces:
        yield pieces.pop(0)
    async for piece in arriving:
        yield piece


def is_read(content_type: str) -> bool:
    """Tell whether a body of this type may name a model."""
    return JSON.match(content_type.strip()) is not None or FORM.match(content_type.strip()) is not None


def in_body(content_type: str, body: bytes) -> str | None:
    """Return the model that a JSON body or a form names."""
    if JSON.match(content_type.strip()):
        try:
            model = read_body(body).get(MODEL)
        except ProxyError:  # the upstream says what is wrong with it
            return None
        return model if isinstance(model, str) else None
    start, end = next(fields_of(content_type, body), (0, 0))
    try:
        return body[start:end].decode().strip() or None
    except UnicodeDecodeError:
        return None


def with_model(request: Request, model: str) -> tuple[bytes | AsyncIterator[bytes] | None, str]:
    """Return a request's body and query with another model in the place of the one that is named there."""
    body, query = request.body, request.head.query
    content_type = request.headers.get("content-type")
    if isinstance(body, bytes) and is_read(content_type) and in_body(content_type, body):
        if JSON.match(content_type.strip()):
            body = rewrite(body, {MODEL: model})
        else:
            for start, end in reversed(list(fields_of(content_type, body))):
                body = body[:start] + model.encode() + body[end:]
    return body, IN_QUERY.sub(lambda _: f"model={quote(model, safe='/:@')}", query)


def fields_of(content_type: str, body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the values of a form's fields named `model` stand; a file of that name is none."""
    match = FORM.match(content_type.strip())
    if match is None:
        return
    delimiter = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    at = body.find(delimiter)
    for _ in range(MAX_PARTS):
        if at < 0:
            return
        head_start = at + len(delimiter)
        at = body.find(b"\n" + delimiter, head_start)
        if at < 0:
            return
        blank = re.compile(rb"\r?\n\r?\n").search(body, head_start, min(head_start + MAX_PART_HEAD, at))
        if blank is not None:
            head = body[head_start : blank.end()]
            end = at - 1 if body[at - 1 : at] == b"\r" else at
            said = DISPOSITION.search(head)
            is_field = said is not None and NAMES_MODEL.search(said[0]) and not HAS_FILE_NAME.search(said[0])
            if is_field and end - blank.end() <= MAX_NAME_BYTES:
                yield blank.end(), max(end, blank.end())
        at += 1
