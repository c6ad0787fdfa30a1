"""A server that is asked for a link: it notes what it is told, and proves that it knows a token."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from proxy.running import NONCE_HEADER, PROOF_HEADER, proof

LINK = "http://127.0.0.1/the-link"


class AskedProgram(ThreadingHTTPServer):
    """Answer every request with a link, from `with` to the end of its block."""

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.token = token
        self.asked: list[str] = []
        self.told = ""  # every head it was sent
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> "AskedProgram":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: AskedProgram

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.server.told += str(self.headers)
        self.send_response(200)
        self.send_header(PROOF_HEADER, proof(self.server.token, self.headers[NONCE_HEADER], LINK))
        self.end_headers()
        self.wfile.write(LINK.encode())

    def log_message(self, *details: object) -> None:
        pass
