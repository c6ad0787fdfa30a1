"""Answer every error as JSON of the OpenAI API: never an HTML page, never a stack trace."""

import logging
from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.request import BodyTooLarge, MalformedRequest, UnknownPath, WrongMethod
from proxy.exchange.error_shapes import in_form_of
from proxy.flow.observers import Observers
from proxy.web.exchange_response import refused_flow, request_id
from proxy.web.guard import OWN_PAGES

# What editors, browsers and other programs ask any server they find, to see what it is.
PROBES = frozenset(
    ("/", "/favicon.ico", "/robots.txt", "/api/health", "/api/show", "/api/tags", "/api/version", "/props", "/version")
)

log = logging.getLogger(__name__)


def install(app: Flask, hide: Callable[[str], str], observers: Observers) -> None:
    """Register a handler for every exception of a view or hook; `hide` removes the keys from a text."""

    def respond(error: ProxyError) -> Response:
        error.detail = hide(error.detail)
        number = request_id()
        if request.blueprint == OWN_PAGES:
            log.info("%s %s '/ui/…' refused: %s", number, request.method, error)  # their path is a secret
        else:
            flow = refused_flow()
            flow.is_probe = is_probe(error)
            observers.refuse(flow, error)
        body = in_form_of(request.path.removeprefix("/v1"), error.status, error.body())
        return Response(body, error.status, [*error.headers(), ("x-request-id", number)])

    def respond_http(error: HTTPException) -> Response:
        response = respond(in_our_words(error))
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = methods(error)
        return response

    def respond_fault(error: Exception) -> Response:
        where = "/ui/…" if request.blueprint == OWN_PAGES else request.path
        log.error("%s %s %r failed", request_id(), request.method, where, exc_info=error)
        return respond(ServerFault())

    app.register_error_handler(ProxyError, respond)
    app.register_error_handler(HTTPException, respond_http)
    app.register_error_handler(Exception, respond_fault)


def is_probe(error: ProxyError) -> bool:
    """Return whether a request only probes an address, which is not worth a warning in the log."""
    return isinstance(error, (UnknownPath, WrongMethod)) and (request.method == "HEAD" or request.path in PROBES)


def in_our_words(error: HTTPException) -> ProxyError:
    """Return our error for one of Flask's."""
    if isinstance(error, NotFound):
        base = f"http://{request.host}/v1"
        if request.path == "/v1":
            return UnknownPath(
                f"/v1. It is the base URL: give it to your tools as it is; {base}/models lists the models"
            )
        return UnknownPath(f"{request.path}. The API of this proxy is at {base}: use that as base URL")
    if isinstance(error, MethodNotAllowed):
        return WrongMethod(f"{request.method} {request.path}; it takes {methods(error)}")
    return BodyTooLarge() if error.code == 413 else MalformedRequest(error.name)


def methods(error: MethodNotAllowed) -> str:
    """Return the methods an address takes."""
    return ", ".join(sorted(error.valid_methods or ()))
