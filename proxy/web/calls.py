"""Read a Flask request into a call for the exchange."""

from dataclasses import replace

from flask import g, request

from proxy.errors.request import UnknownPath
from proxy.exchange.call import Call, new_request_id
from proxy.policy.headers import for_upstream
from proxy.policy.websocket import handshake_headers
from proxy.web.addresses import leaves_its_folder


def request_id() -> str:
    """Return this request's id, made at its first use."""
    number: str | None = g.get("request_id")
    if number is None:
        number = g.request_id = new_request_id()
    return number


def read_call() -> Call:
    """Return what the current request asks for; raises UnknownPath for a path that climbs."""
    target: str = request.environ["RAW_URI"]
    path, _, query = target.partition("?")
    if leaves_its_folder(path):
        raise UnknownPath("a path must not climb")
    return Call(
        method=request.method,
        path=path.removeprefix("/v1"),
        query=query,
        headers=for_upstream(request.environ),
        caller=g.caller,
        request_id=request_id(),
    )


def read_handshake() -> Call:
    """Return the current request as the handshake of a WebSocket; raises as `read_call`, and MalformedRequest."""
    call = read_call()
    return replace(call, headers=[*call.headers, *handshake_headers(request.environ)])
