"""A client that speaks HTTP/2 without TLS, knowing that the server does too."""

import socket
import time
from dataclasses import dataclass, field
from types import TracebackType

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset


@dataclass
class H2Reply:
    """What came of an answer; `is_complete` where it had its proper end."""

    status: int = 0
    body: bytes = b""
    is_complete: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class H2Client:
    """One connection, for one request, from `with` to the end of its block."""

    def __init__(self, port: int) -> None:
        self._authority = f"127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._connection.initiate_connection()

    def __enter__(self) -> "H2Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: bytes = b"", limit_s: float = 5) -> H2Reply:
        """Send a request without a length, and return what has come of its answer when it ends or the time is over."""
        head = {":method": method, ":scheme": "http", ":authority": self._authority, ":path": path}
        self._connection.send_headers(1, list(head.items()), end_stream=not body)
        if body:
            self._connection.send_data(1, body, end_stream=True)
        self._flush()
        reply, deadline = H2Reply(), time.monotonic() + limit_s
        while not reply.is_complete and (left_s := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left_s)
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                break
            if not data or not self._take(data, reply):
                break
        return reply

    def _take(self, data: bytes, reply: H2Reply) -> bool:
        """Take note of what came; False where nothing more will."""
        for event in self._connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                reply.headers = dict(event.headers)
                reply.status = int(reply.headers[":status"])
            elif isinstance(event, DataReceived):
                reply.body += event.data
                self._connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, StreamEnded):
                reply.is_complete = True
            elif isinstance(event, (StreamReset, ConnectionTerminated)):
                return False
        self._flush()
        return True

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())
