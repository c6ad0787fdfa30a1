"""Every error leaves as the OpenAI API's JSON: never a page, never a stack."""

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from proxy.errors import BodyTooLarge, MalformedRequest, ProxyError, ServerFault, UnknownPath, WrongMethod
from proxy.web.calls import request_id

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Answer for every exception a view or hook lets through."""
    app.register_error_handler(ProxyError, respond)
    app.register_error_handler(HTTPException, respond_http)
    app.register_error_handler(Exception, respond_fault)


def respond(error: ProxyError) -> Response:
    """Answer with one of our errors."""
    number = request_id()
    log.info("%s %s %r refused: %s", number, request.method, request.path, error)
    return Response(error.body(), error.status, [*error.headers(), ("x-request-id", number)])


def respond_http(error: HTTPException) -> Response:
    """Answer with Flask's own refusals in our words."""
    if isinstance(error, NotFound):
        base = f"http://{request.host}/v1"
        return respond(UnknownPath(f"{request.path}. The API of this proxy is at {base}: use that as base URL"))
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        response = respond(WrongMethod(f"{request.method} {request.path}; it takes {allowed}"))
        response.headers["Allow"] = allowed
        return response
    if error.code == 413:
        return respond(BodyTooLarge())
    return respond(MalformedRequest(error.name))


def respond_fault(error: Exception) -> Response:
    """Answer for a bug of ours; the stack stands in the log only."""
    log.error("%s %s %r failed", request_id(), request.method, request.path, exc_info=error)
    return respond(ServerFault())
