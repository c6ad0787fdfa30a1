"""An upstream that answers while a body of tens of megabytes still goes up, and will not take the rest of it."""

import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.asking import CHAT, FILES, body_of
from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import connect

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import write_certificate

SIZE = 32 * 2**20
REFUSAL = b'{"error":{"message":"too large for me","type":"own","param":null,"code":"own"}}'
LEAVE = struct.pack("ii", 1, 0)  # closing resets
# Elsewhere the system may drop what it has received together with the connection.
ENDS = ["stays", "closes", "resets"] if sys.platform == "linux" else ["stays"]


class EarlyUpstream:
    """Read a request's head and no more, answer 413, and then stay, close, or reset; from `with` to its end."""

    def __init__(self, end: str, certificate: Path | None = None) -> None:
        self._end = end
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            key_file = certificate.with_suffix(".key")
            write_certificate(certificate, key_file, ("127.0.0.1",))
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, key_file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="early-upstream")
        scheme = "http" if certificate is None else "https"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> "EarlyUpstream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        self._listener.settimeout(10)
        with suppress(OSError):
            accepted, _ = self._listener.accept()
            with accepted:
                accepted.settimeout(10)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a reset drops what has not left
                if self._context is None:
                    self._answer(accepted)
                else:
                    with self._context.wrap_socket(accepted, server_side=True) as secured:
                        self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        length = b"Content-Length: %d\r\n\r\n" % len(REFUSAL)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\n" + length + REFUSAL)
        if self._end == "stays":
            self._over.wait(10)
        elif self._end == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE)


@pytest.mark.parametrize("way", [CHAT, FILES])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_answer_is_heard_by_a_client_that_sends_all_first(
    start: Callable[..., RunningProxy], tmp_path: Path, scheme: str, end: str, way: str
) -> None:
    certificate = tmp_path / "certificate.pem" if scheme == "https" else None
    with EarlyUpstream(end, certificate) as upstream:
        proxy = start(upstream.base_url, openai_ca_file=str(certificate) if certificate else None, openai_max_retries=0)
        with connect(proxy) as client:
            body = body_of(SIZE) if way == CHAT else bytes(SIZE)
            reply = client.post(way, body, "Content-Type: " + ("application/json" if way == CHAT else "a/b"))

    assert (reply.status, reply.error["code"]) == (413, "own")
