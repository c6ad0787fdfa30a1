"""The faults of real upstreams, one a model: to see what a client makes of them, and what the proxy says."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from flask import Response

from proxy.demo.body import JsonObject
from proxy.errors.proxy_error import error_body

Created = JsonObject | Iterator[bytes]
Respond = Callable[[Created], Response]  # as the demo answers without a fault

EVENTS_SHOWN = 6  # of a stream that does not come to its end
PROMISED_BYTES = 10_000_000  # of an answer that breaks off
STALL_S = 600.0  # longer than anybody waits
SLOW_S = 20.0  # longer than the proxy's keep-alive waits
SLOW_PACE_S = 0.5
RETRY_AFTER_S = 1
BROKEN = "The demo upstream broke, as it was asked to."


def break_off(created: Created, respond: Respond) -> Response:
    """Answer in part, and close the connection in the middle."""
    response = respond(created if isinstance(created, dict) else islice(created, EVENTS_SHOWN))
    response.headers["Content-Length"] = str(PROMISED_BYTES)
    return response


def stall(created: Created, respond: Respond) -> Response:
    """Begin to answer, and then say nothing more."""
    if isinstance(created, dict):
        response = respond(silent(b"{", STALL_S))
        response.content_type = "application/json"
        return response
    return respond(silent(b"".join(islice(created, EVENTS_SHOWN)), STALL_S))


def silent(first: bytes, seconds: float) -> Iterator[bytes]:
    """Yield the first bytes, then nothing for so long."""
    yield first
    time.sleep(seconds)


def leave_out_done(created: Created, respond: Respond) -> Response:
    """Stream without the last event; an answer that is whole has none to leave out."""
    return respond(created if isinstance(created, dict) else but_last(created))


def but_last(events: Iterable[bytes]) -> Iterator[bytes]:
    """Yield all events but the last."""
    held: bytes | None = None
    for event in events:
        if held is not None:
            yield held
        held = event


def error_with_200(created: Created, respond: Respond) -> Response:
    """Answer with an error, and with status 200."""
    body = error_body(BROKEN, type="server_error", code="demo_error", param=None)
    if isinstance(created, dict):
        return Response(body, content_type="application/json")
    return respond(iter([*islice(created, EVENTS_SHOWN), b"data: " + body + b"\n\n"]))


def limit_rate(created: Created, respond: Respond) -> Response:  # noqa: ARG001  a fault's signature
    """Refuse, and say when to come again."""
    body = error_body("Rate limit reached for the demo.", type="requests", code="rate_limit_exceeded", param=None)
    return Response(body, 429, {"retry-after": str(RETRY_AFTER_S)}, content_type="application/json")


def be_slow(created: Created, respond: Respond) -> Response:
    """Say nothing for a while, then write slowly."""
    if isinstance(created, dict):
        time.sleep(SLOW_S)
        return respond(created)
    return respond(slowly(created))


def slowly(events: Iterable[bytes]) -> Iterator[bytes]:
    """Yield events after a silence, with a pause between them."""
    time.sleep(SLOW_S)
    for event in events:
        yield event
        time.sleep(SLOW_PACE_S)


FAULTS: dict[str, Callable[[Created, Respond], Response]] = {
    "demo-breaks-off": break_off,
    "demo-stalls": stall,
    "demo-no-done": leave_out_done,
    "demo-error-200": error_with_200,
    "demo-429": limit_rate,
    "demo-slow": be_slow,
}
