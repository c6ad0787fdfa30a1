"""The model that a request names which is only passed on: in its JSON, in a field of its form, or in its address."""

import re
from collections.abc import AsyncIterable
from urllib.parse import quote, unquote_plus

from proxy.errors.proxy_error import ProxyError
from proxy.exchange.arriving import ArrivingBody, ChangedBody
from proxy.exchange.form_fields import Place, form_of
from proxy.exchange.heavy import off_loop
from proxy.exchange.request import Request
from proxy.policy.body import read_object as read_body
from proxy.policy.body import rewrite
from proxy.policy.endpoints import names_no_model
from proxy.policy.params import MODEL

JSON = re.compile(r"application/json\b", re.IGNORECASE)
IN_QUERY = re.compile(r"(?:(?<=&)|^)model=([^&]*)")
LOOKED_AT_BYTES = 1_048_576  # of a form that is sent where no model is named


async def named_model(request: Request) -> str | None:
    """Return the model a request names in its body or its address; what is read of an arriving body is held."""
    if request.head.method not in ("GET", "HEAD") and not request.headers.get("content-encoding"):
        kind, body = request.headers.get("content-type"), request.body
        if isinstance(body, ArrivingBody):
            if JSON.match(kind.strip()):
                await hold(request, body, request.settings.max_body_bytes)
            elif model := await model_of_form(request, body, kind):
                return model
        if isinstance(request.body, bytes):
            model, _ = await off_loop(len(request.body), in_body, kind, request.body)
            if model:
                return model
    found = IN_QUERY.search(request.head.query)
    return unquote_plus(found[1]) if found and found[1] else None


def may_name(request: Request, prefix: str) -> bool:
    """Tell whether a request that is only passed on may name a model with an upstream's name before it.

    For where there is one upstream: a body that is still arriving is not looked at.
    """
    body = request.body
    if isinstance(body, bytes) and (prefix.encode() in body or prefix.replace("/", "\\/").encode() in body):
        return True
    return bool(request.head.query) and prefix in unquote_plus(request.head.query)


async def hold(request: Request, body: ArrivingBody, limit_bytes: int) -> None:
    """Read a body that is still arriving, so that it can be sent again; what is longer goes on as it arrives."""
    if request.length is not None and request.length > limit_bytes:
        return
    while not body.is_whole and body.held_bytes <= limit_bytes:
        await body.read_on()
    if body.is_whole and body.held_bytes <= limit_bytes:
        request.body, request.length = body.held(0, body.held_bytes), body.held_bytes


async def model_of_form(request: Request, body: ArrivingBody, content_type: str) -> str | None:
    """Return the model that a form names which is still arriving; all of it before that is held."""
    form = form_of(content_type)
    if form is None:
        return None
    limit_bytes = LOOKED_AT_BYTES if names_no_model(request.head.path) else None
    while not form.is_over and (limit_bytes is None or body.held_bytes <= limit_bytes):
        piece = await body.read_on()
        if not piece:
            break
        for place, value in form.feed(piece):
            body.model_at = place
            return text_of(value)
    return None


def in_body(content_type: str, body: bytes) -> tuple[str | None, list[Place]]:
    """Return the model that a JSON body or a form names, and in a form where each of its values stands."""
    if JSON.match(content_type.strip()):
        try:
            model = read_body(body).get(MODEL)
        except ProxyError:  # the upstream says what is wrong with it
            return None, []
        return (model if isinstance(model, str) else None), []
    form = form_of(content_type)
    fields = form.feed(body) if form is not None else []
    return (text_of(fields[0][1]) if fields else None), [place for place, _ in fields]


def text_of(value: bytes) -> str | None:
    """Return a field's value, None where it is no text."""
    try:
        return value.decode().strip() or None
    except UnicodeDecodeError:
        return None


def with_model(request: Request, model: str) -> tuple[bytes | AsyncIterable[bytes] | None, int | None, str]:
    """Return a request's body, its length, and its query, with another model in the place of the one named there."""
    body, length, content_type = request.body, request.length, request.headers.get("content-type")
    if isinstance(body, ArrivingBody) and body.model_at is not None:
        start, end = body.model_at
        length = None if length is None else length - (end - start) + len(model.encode())
        body = ChangedBody(body, model.encode())
    elif isinstance(body, bytes):
        named, places = in_body(content_type, body)
        if named and not places:
            body = rewrite(body, {MODEL: model})
        for start, end in reversed(places if named else []):
            body = body[:start] + model.encode() + body[end:]
        length = len(body)
    return body, length, IN_QUERY.sub(lambda _: f"model={quote(model, safe='/:@')}", request.head.query)
