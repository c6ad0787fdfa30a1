"""A Flask response that stands for an exchange with the upstream.

Behind our own server it is handed over to the event loop. Behind any other WSGI server it performs the exchange
itself while it is iterated, so that the app is a Flask app everywhere.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Response

from proxy.exchange.exchange import Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

HandOver = Callable[[Exchange, list[tuple[str, str]]], None]
HAND_OVER = "proxy.hand_over"  # environ key: the server's function that takes an exchange


class ExchangeResponse(Response):
    """Carry an exchange through Flask; headers that hooks set here are added to the answer's own."""

    default_mimetype = None

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        del self.headers["Content-Length"]
        self.exchange = exchange

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Hand the exchange over, or perform it here."""
        headers = self.headers.to_wsgi_list()
        hand_over: HandOver | None = environ.get(HAND_OVER)
        if hand_over is not None:
            hand_over(self.exchange, headers)
            return ()
        from proxy.web.standalone import perform  # noqa: PLC0415  brings a thread's machinery our own server never needs

        return perform(self.exchange, headers, environ, start_response)
