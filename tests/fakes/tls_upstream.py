"""A provider behind TLS with a certificate nobody knows, as a network that inspects traffic has."""

import datetime as dt
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fakes.scripted_upstream import completion


class Handler(BaseHTTPRequestHandler):
    """Answer every POST with a completion and every GET with a list; at an address `once`, close behind it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(completion("Hello over TLS"))

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": []})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.path.endswith("/once"):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class TlsServer(ThreadingHTTPServer):
    """A server whose clients may refuse the handshake without a word on the terminal."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.resumed: list[bool] = []  # of each connection: whether its handshake was a short one
        super().__init__(("127.0.0.1", 0), Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the request's own thread."""
        with self._context.wrap_socket(request, server_side=True) as secured:
            self.resumed.append(secured.session_reused)
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class TlsUpstream:
    """Serve from `with` to the end of its block; `certificate` is the file a client must trust."""

    def __init__(self, folder: Path, *, hosts: tuple[str, ...] = ("127.0.0.1",)) -> None:
        self.certificate = folder / "certificate.pem"
        key_file = folder / "key.pem"
        write_certificate(self.certificate, key_file, hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key_file)
        self._server = TlsServer(context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="tls-upstream")
        self.port = int(self._server.server_address[1])
        self.base_url = f"https://127.0.0.1:{self.port}/v1"

    @property
    def resumed(self) -> list[bool]:
        """Return of each connection so far whether its handshake was a short one."""
        return list(self._server.resumed)

    def __enter__(self) -> "TlsUpstream":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def write_certificate(certificate_file: Path, key_file: Path, hosts: tuple[str, ...]) -> None:
    """Write a certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scripted")])
    now = dt.datetime.now(dt.timezone.utc)
    names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
