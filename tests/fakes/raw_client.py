"""A client that speaks bytes, for what an HTTP library would hide."""

import socket

GET = b"GET /v1/models HTTP/1.1\r\nHost: upstream\r\n\r\n"


class RawClient:
    """Speak to a server in bytes, and see its FIN and RST."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.seen = b""

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, data: bytes) -> "RawClient":
        """Send bytes as they are."""
        self.socket.sendall(data)
        return self

    def read_until(self, mark: bytes) -> bytes:
        """Read up to and with a mark; EOFError when the server ends first."""
        while mark not in self.seen:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(self.seen)
            self.seen += piece
        found, _, self.seen = self.seen.partition(mark)
        return found + mark

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self.seen) < size:
            self.seen += self.socket.recv(65536)
        found, self.seen = self.seen[:size], self.seen[size:]
        return found

    def read_to_fin(self) -> bytes:
        """Read all that comes until the server closes; ConnectionResetError on RST."""
        while piece := self.socket.recv(65536):
            self.seen += piece
        return self.seen

    def read_head(self) -> tuple[str, list[tuple[str, str]]]:
        """Read the head of an answer: the status line, and the headers in order."""
        first, *lines = self.read_until(b"\r\n\r\n").decode().strip().split("\r\n")
        return first, [(name, value) for name, value in (line.split(": ", 1) for line in lines)]

    def read_answer(self) -> tuple[str, dict[str, str], bytes]:
        """Read a whole answer: the status line, the headers, and the decoded body."""
        first, pairs = self.read_head()
        headers = dict(pairs)
        if headers.get("Transfer-Encoding") == "chunked":
            return first, headers, b"".join(self.read_chunks())
        return first, headers, self.read_exactly(int(headers["Content-Length"]))

    def read_chunks(self) -> list[bytes]:
        """Read a chunked body to its end, and return its chunks."""
        chunks = []
        while size := int(self.read_until(b"\r\n"), 16):
            chunks.append(self.read_exactly(size))
            assert self.read_exactly(2) == b"\r\n"
        assert self.read_exactly(2) == b"\r\n"
        return chunks

    def says_nothing(self) -> bool:
        """Say whether nothing comes for a moment, or nothing but the end."""
        self.socket.settimeout(0.15)
        try:
            return not self.socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)


def post(body: bytes, *headers: bytes) -> bytes:
    """Return a chat request with that body and those header lines."""
    lines = [b"POST /v1/chat/completions?a=1 HTTP/1.1", b"Host: upstream", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])
