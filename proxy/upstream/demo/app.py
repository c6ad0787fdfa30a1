"""The demo's ASGI application: routes, key check, and the headers every answer carries.

It needs no network and no framework, and keeps nothing but the uploaded files, in memory.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from proxy.upstream.demo.asgi import (
    App,
    BodyTooLarge,
    ClientGone,
    EventStream,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    read_request,
    send_document,
    send_stream,
)
from proxy.upstream.demo.chat import create_chat_completion
from proxy.upstream.demo.completions import create_completion
from proxy.upstream.demo.embeddings import create_embeddings
from proxy.upstream.demo.files import FileStore
from proxy.upstream.demo.media import create_images, create_speech, create_transcription
from proxy.upstream.demo.models import get_model, list_models
from proxy.upstream.demo.moderations import create_moderation
from proxy.upstream.demo.problems import DemoRefusal
from proxy.upstream.demo.responses import create_response
from proxy.upstream.demo.texts import new_id

log = logging.getLogger(__name__)

REFUSED_KEY = "sk-invalid"
PACE_S = 0.03
API_VERSION = "2020-10-01"


@dataclass(frozen=True)
class Route:
    """What answers a method on a path, in which `{id}` stands for one segment."""

    method: str
    path: str
    handle: Callable[[Request], Reply]

    def match(self, request: Request) -> Request | None:
        """Return the request with its `target_id` if the route is meant, and None otherwise."""
        before, has_id, after = self.path.partition("{id}")
        if request.method != self.method:
            return None
        if not has_id:
            return request if request.path == self.path else None
        target_id = request.path.removeprefix(before).removesuffix(after)
        whole = f"{before}{target_id}{after}" == request.path
        return replace(request, target_id=target_id) if whole and target_id and "/" not in target_id else None


def create_demo_app(*, pace_s: float = PACE_S) -> App:
    """Return a demo upstream of its own; `pace_s` is the pause before each event of a stream."""
    routes = list_routes(FileStore())

    async def demo_app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _answer(routes, scope, receive, send, pace_s)

    return demo_app


def list_routes(files: FileStore) -> list[Route]:
    """Return all that the demo has."""
    return [
        Route("GET", "/v1/models", list_models),
        Route("GET", "/v1/models/{id}", get_model),
        Route("POST", "/v1/chat/completions", create_chat_completion),
        Route("POST", "/v1/completions", create_completion),
        Route("POST", "/v1/responses", create_response),
        Route("POST", "/v1/embeddings", create_embeddings),
        Route("POST", "/v1/moderations", create_moderation),
        Route("POST", "/v1/audio/speech", create_speech),
        Route("POST", "/v1/audio/transcriptions", create_transcription),
        Route("POST", "/v1/images/generations", create_images),
        Route("POST", "/v1/files", files.upload),
        Route("GET", "/v1/files", files.list_all),
        Route("GET", "/v1/files/{id}", files.describe),
        Route("DELETE", "/v1/files/{id}", files.delete),
        Route("GET", "/v1/files/{id}/content", files.download),
    ]


async def _answer(routes: list[Route], scope: Scope, receive: Receive, send: Send, pace_s: float) -> None:
    started = time.monotonic()
    try:
        request = await read_request(scope, receive)
        reply = _handle(routes, request)
    except ClientGone:
        return
    except BodyTooLarge:
        reply = DemoRefusal("The request body is too large for the demo.", status=413).document()
    headers = [
        ("x-request-id", new_id("req_")),
        ("openai-processing-ms", str(round((time.monotonic() - started) * 1000))),
        ("openai-version", API_VERSION),
    ]
    if isinstance(reply, EventStream):
        await send_stream(receive, send, reply, headers, pace_s=pace_s)
    else:
        await send_document(send, reply, headers, head_only=scope["method"] == "HEAD")


def _handle(routes: list[Route], request: Request) -> Reply:
    try:
        _check_key(request)
        return _dispatch(routes, request)
    except DemoRefusal as refusal:
        return refusal.document()
    except Exception:  # the demo's last handler: a client gets an answer in OpenAI's shape even to our own bug
        log.exception("the demo upstream failed")
        return DemoRefusal("The demo upstream failed.", status=500, kind="server_error").document()


def _dispatch(routes: list[Route], request: Request) -> Reply:
    asked = replace(request, method="GET") if request.method == "HEAD" else request
    for route in routes:
        if matched := route.match(asked):
            return route.handle(matched)
    raise DemoRefusal(
        f"The demo upstream does not have {request.method} {request.path}.", status=404, code="demo_does_not_have_this"
    )


def _check_key(request: Request) -> None:
    if request.headers.get("authorization", "").removeprefix("Bearer ").strip() == REFUSED_KEY:
        raise DemoRefusal(
            f"Incorrect API key provided: {REFUSED_KEY}. The demo refuses this one key and takes any other, or none.",
            status=401,
            code="invalid_api_key",
        )


async def _live(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
