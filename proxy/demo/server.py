"""Serve the demo on a free port of this computer, in a thread of its own, by werkzeug's server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from werkzeug.serving import WSGIRequestHandler, make_server

from proxy.demo.app import create_demo_app

HOST = "127.0.0.1"
PACE_S = 0.03
STOP_POLL_S = 0.1
STOP_TIMEOUT_S = 2.0


class Handler(WSGIRequestHandler):
    """Serve one connection, in a thread of its own, which the end of the program does not wait for."""

    disable_nagle_algorithm = True  # an event is written in four pieces, which the algorithm would hold back

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the proxy before the demo has a line for each request."""


@contextmanager
def run_demo(pace_s: float = PACE_S) -> Iterator[str]:
    """Serve the demo and yield its base URL; `pace_s` is the pause before each event of a stream, in seconds."""
    app = create_demo_app(pace_s)
    with socket.create_server((HOST, 0)) as listener:
        # A port that werkzeug opens itself has the host's name looked up, which takes seconds on some networks.
        server = make_server(HOST, 0, app, threaded=True, request_handler=Handler, fd=listener.fileno())
    thread = Thread(target=server.serve_forever, args=(STOP_POLL_S,), name="demo-upstream", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.port}/v1"
    finally:
        server.shutdown()
        thread.join(STOP_TIMEOUT_S)
