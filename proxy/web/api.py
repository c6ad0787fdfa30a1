"""The API's addresses, read from the top: those with rules of their own, then everything else under /v1."""

from flask import Blueprint, g, request
from werkzeug.exceptions import MethodNotAllowed

from proxy.errors.request import WebSocketUnsupported
from proxy.exchange.exchange import Exchange, Opener
from proxy.exchange.tunnel import TunnelExchange
from proxy.policy.endpoints import RULED as RULED_ENDPOINTS
from proxy.policy.origin import check_content_type
from proxy.services import Services
from proxy.web.calls import read_call, read_handshake
from proxy.web.response import HAND_OVER, ExchangeResponse

RULED = tuple(f"/v1{endpoint}" for endpoint in RULED_ENDPOINTS)
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]  # Flask adds HEAD; the guard answers OPTIONS
# Where the API is known to take no other method. Completions the upstream stored are listed where they are made.
TAKES = {
    **{path: ["POST"] for path in RULED},
    "/v1/chat/completions": ["GET", "HEAD", "POST"],
    "/v1/models": ["GET", "HEAD"],
    "/v1/health": ["GET", "HEAD"],
}


def blueprint(services: Services) -> Blueprint:
    """Return the routes."""
    api = Blueprint("api", __name__)

    def exchange(opener: Opener) -> ExchangeResponse:
        return ExchangeResponse(Exchange(read_call(), opener, services.in_flight, g.holds))

    def ruled() -> ExchangeResponse:
        check_content_type(request.headers, request.method)
        return exchange(services.ruled.open)

    def models(model: str = "") -> ExchangeResponse:  # noqa: ARG001  Flask passes what the route names
        opener = services.models if request.method == "GET" else services.passthrough
        return exchange(opener.open)

    def passthrough(rest: str = "") -> ExchangeResponse:  # noqa: ARG001  as above
        if request.method not in TAKES.get(request.path, (request.method,)):
            raise MethodNotAllowed(TAKES[request.path])
        return exchange(services.passthrough.open)

    def websocket(rest: str) -> ExchangeResponse:  # noqa: ARG001  as above
        if HAND_OVER not in request.environ:
            raise WebSocketUnsupported
        return ExchangeResponse(TunnelExchange(read_handshake(), services.sockets, services.in_flight))

    for path in RULED:
        api.add_url_rule(path, f"ruled {path}", ruled, methods=["POST"])
    api.add_url_rule("/v1/models", "models", models, methods=["GET"])
    api.add_url_rule("/v1/models/<path:model>", "model", models, methods=["GET", "DELETE"])
    api.add_url_rule("/v1/<path:rest>", "passthrough", passthrough, methods=EVERY_METHOD)
    api.add_url_rule("/v1/<path:rest>", "websocket", websocket, methods=["GET"], websocket=True)
    return api
