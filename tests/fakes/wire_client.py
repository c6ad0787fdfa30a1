"""A client that speaks HTTP/1.1 itself: exactly these bytes up, every byte of the answer back."""

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any

LIMIT_S = 15.0


@dataclass(frozen=True)
class Reply:
    """One answer: names of headers in lower case and in order, the body without its framing."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the one value of a header, None where there is none; ValueError where there are several."""
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise ValueError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """Return the error object of the OpenAI API, checked for its form."""
        assert self.header("content-type") == "application/json", (self.headers, self.body)
        error = self.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}, error
        assert error["message"], error
        return error


class WireClient:
    """One connection to a server on this computer, from `with` to the end of its block."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, receive_buffer_bytes: int | None = None, limit_s: float = LIMIT_S
    ) -> None:
        self.host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(limit_s)
        self.socket.connect((host, port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "WireClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, whatever is still to come; a second call does nothing."""
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> "WireClient":
        """Send bytes as they are."""
        self.socket.sendall(data)
        return self

    def request(
        self, method: str, target: str, body: bytes | None = None, *lines: str, version: str = "HTTP/1.1"
    ) -> bytes:
        """Return the bytes of a request: Host unless one is among the lines, Content-Length where there is a body."""
        head = [f"{method} {target} {version}"]
        if not any(line.lower().startswith("host:") for line in lines):
            head.append(f"Host: {self.host}")
        head += lines
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")

    def ask(self, method: str, target: str, body: bytes | None = None, *lines: str) -> Reply:
        """Send a request and return its whole answer."""
        self.send(self.request(method, target, body, *lines))
        return self.read_reply(method)

    def post(self, target: str, body: bytes, *lines: str) -> Reply:
        """Send JSON, or what the lines say it is, and return the whole answer."""
        kind = () if any(line.lower().startswith("content-type:") for line in lines) else (JSON_TYPE,)
        return self.ask("POST", target, body, *kind, *lines)

    def read_head(self) -> Reply:
        """Read status and headers; EOFError where the server closes instead."""
        first = self._line()
        version, status, *_ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers = []
        while line := self._line():
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        return Reply(int(status), headers)

    def read_reply(self, method: str = "GET") -> Reply:
        """Read one whole answer; EOFError where it breaks off."""
        head = self.read_head()
        return Reply(head.status, head.headers, self.read_body(head, method))

    def read_body(self, head: Reply, method: str = "GET") -> bytes:
        """Read the body that belongs to a head."""
        if method == "HEAD" or head.status in (204, 304):
            return b""
        if head.header("transfer-encoding") == "chunked":
            return self.read_chunks()
        length = head.header("content-length")
        if length is None:
            return self._file.read()
        return self.read_exactly(int(length))

    def read_chunk(self) -> bytes:
        """Read one chunk, b"" at the proper end; EOFError where the body breaks off."""
        chunk = self.read_exactly(int(self._line(), 16))
        assert self._line() == ""
        return chunk

    def read_chunks(self) -> bytes:
        """Read the chunks up to their proper end; EOFError where the body breaks off."""
        return b"".join(iter(self.read_chunk, b""))

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes; EOFError where fewer come."""
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError(data)
        return data

    def read_rest(self) -> bytes:
        """Read what comes until the server closes, by FIN or by RST."""
        pieces = []
        try:
            while piece := self._file.read1(65536):
                pieces.append(piece)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def _line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(line)
        return line[:-2].decode("latin-1")


JSON_TYPE = "Content-Type: application/json"


def in_chunks(*pieces: bytes) -> bytes:
    """Return a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
