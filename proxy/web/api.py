"""The API's addresses, read from the top: those with rules of their own, then everything else under /v1."""

from collections.abc import Mapping

from flask import Blueprint, g, request
from werkzeug.exceptions import MethodNotAllowed

from proxy.errors.request import WebSocketUnsupported
from proxy.exchange.composition import Pipeline
from proxy.exchange.exchange import Exchange
from proxy.exchange.request import Kind
from proxy.exchange.tunnel import TunnelExchange
from proxy.flow.observers import Observers
from proxy.policy.endpoints import JSON_ENDPOINTS as BELOW_V1
from proxy.settings.store import SettingsStore
from proxy.web.exchange_response import HAND_OVER, ExchangeResponse, read_head

JSON_ENDPOINTS = tuple(f"/v1{endpoint}" for endpoint in BELOW_V1)
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]  # Flask adds HEAD; the guard answers OPTIONS
# Where the API is known to take no other method. Completions the upstream stored are listed where they are made.
TAKES = {
    **{path: ["POST"] for path in JSON_ENDPOINTS},
    "/v1/chat/completions": ["GET", "HEAD", "POST"],
    "/v1/models": ["GET", "HEAD"],
    "/v1/health": ["GET", "HEAD"],
}


def blueprint(pipelines: Mapping[Kind, Pipeline], observers: Observers, store: SettingsStore) -> Blueprint:
    """Return the routes."""
    api = Blueprint("api", __name__)

    def exchange(kind: Kind, *, wants_json: bool) -> ExchangeResponse:
        head = read_head(kind, wants_json=wants_json)
        return ExchangeResponse(Exchange(head, pipelines[kind], observers, store, g.admission))

    def json_request() -> ExchangeResponse:
        return exchange("json", wants_json=True)

    def models(model: str = "") -> ExchangeResponse:  # noqa: ARG001  Flask passes what the route names
        return exchange("relay", wants_json=request.method == "GET")

    def passthrough(rest: str = "") -> ExchangeResponse:  # noqa: ARG001  as above
        if request.method not in TAKES.get(request.path, (request.method,)):
            raise MethodNotAllowed(TAKES[request.path])
        return exchange("relay", wants_json=False)

    def websocket(rest: str) -> ExchangeResponse:  # noqa: ARG001  as above
        if HAND_OVER not in request.environ:
            raise WebSocketUnsupported
        return ExchangeResponse(TunnelExchange(read_head("websocket"), pipelines["websocket"], observers, store))

    for path in JSON_ENDPOINTS:
        api.add_url_rule(path, f"json {path}", json_request, methods=["POST"])
    api.add_url_rule("/v1/models", "models", models, methods=["GET"])
    api.add_url_rule("/v1/models/<path:model>", "model", models, methods=["GET", "DELETE"])
    api.add_url_rule("/v1/<path:rest>", "passthrough", passthrough, methods=EVERY_METHOD)
    api.add_url_rule("/v1/<path:rest>", "websocket", websocket, methods=["GET"], websocket=True)
    return api
