"""The demo as a Flask app: its endpoints, and the API's own kind of error for everything else."""

import json
import time
from collections.abc import Callable, Iterator

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from proxy.demo.body import JsonObject, Refusal, read_object
from proxy.demo.chat import create_chat_completion
from proxy.demo.embeddings import create_embeddings
from proxy.demo.faults import FAULTS, Created
from proxy.demo.messages import create_message
from proxy.demo.prompt_cache import PromptCache
from proxy.demo.responses import create_response
from proxy.errors.proxy_error import error_body

MODELS = ("demo-chat", "demo-tools", "demo-embedding", *FAULTS)
CREATED = 1_735_689_600  # 2025-01-01

Create = Callable[[JsonObject, PromptCache], Created]
ENDPOINTS: dict[str, Create] = {
    "/v1/chat/completions": create_chat_completion,
    "/v1/responses": create_response,
    "/v1/messages": create_message,
    "/v1/embeddings": create_embeddings,
}


def create_demo_app(pace_s: float) -> Flask:
    """Return the app; `pace_s` is the pause before each event of a stream, in seconds."""
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.url_map.merge_slashes = False
    app.add_url_rule("/v1/models", "models", list_models)
    app.add_url_rule("/v1/models/<name>", "model", get_model)
    cache = PromptCache()
    for path, create in ENDPOINTS.items():
        app.add_url_rule(path, path, view_of(create, cache, pace_s), methods=["POST"])
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(HTTPException, refuse_http)
    return app


def view_of(create: Create, cache: PromptCache, pace_s: float) -> Callable[[], Response]:
    """Return the view of an endpoint: a JSON body in, a JSON object or a paced stream out."""

    def view() -> Response:
        body = read_object(request.get_data())
        created, fault = create(body, cache), FAULTS.get(str(body.get("model")))
        return respond(created) if fault is None else fault(created, respond)

    def respond(created: Created) -> Response:
        if isinstance(created, dict):
            return json_response(created)
        return Response(pace(created, pace_s), content_type="text/event-stream", headers={"cache-control": "no-cache"})

    return view


def pace(events: Iterator[bytes], pace_s: float) -> Iterator[bytes]:
    """Yield events with a pause before each, in seconds; the server closes the stream where the client is gone."""
    for event in events:
        time.sleep(pace_s)
        yield event


def list_models() -> Response:
    """List the models, whose names say what they are."""
    return json_response({"object": "list", "data": [describe_model(name) for name in MODELS]})


def get_model(name: str) -> Response:
    """Return one model; raises Refusal."""
    if name not in MODELS:
        message = f"The model '{name}' does not exist; the demo lists {', '.join(MODELS)}."
        raise Refusal(message, status=404, param="model", code="model_not_found")
    return json_response(describe_model(name))


def describe_model(name: str) -> JsonObject:
    """Return what the API tells of a model."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "openai-tray-proxy-demo"}


def json_response(body: JsonObject) -> Response:
    """Return an answer with its fields in the order given."""
    return Response(json.dumps(body), content_type="application/json")


def refuse(refusal: Refusal) -> Response:
    """Answer with the API's error object."""
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    body = error_body(str(refusal), type=kind, code=refusal.code, param=refusal.param)
    return Response(body, refusal.status, content_type="application/json")


def refuse_http(error: HTTPException) -> Response:
    """Answer for what the demo does not have, and for its own bugs, whose stack Flask logs."""
    if error.code not in (404, 405):
        return refuse(Refusal(f"The demo upstream failed: {error.name}.", status=error.code or 500))
    known = ", ".join(["/v1/models", *ENDPOINTS])
    message = f"The demo upstream does not have {request.method} {request.path}; it has {known}."
    return refuse(Refusal(message, status=404, code="demo_does_not_have_this"))
