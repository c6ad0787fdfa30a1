"""Single requests: health, one chat, a client that hangs up, and the fake upstream's counters."""

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable

KEY = "sk-bench"
CHAT_PATH = "/v1/chat/completions"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BEFORE_LEAVING_S = 0.05


def chat_body(model: str, *, stream: bool = False, messages: int = 2, characters: int = 30) -> bytes:
    """Return a chat request with so many messages of so many characters."""
    roles = ["system", *(["user", "assistant"] * messages)]
    text = ("lorem ipsum dolor sit amet " * (characters // 27 + 1))[:characters]
    chat = [{"role": role, "content": text} for role in roles[:messages]]
    return json.dumps({"model": model, "stream": stream, "messages": chat}, separators=(",", ":")).encode()


def get_status(port: int, path: str, timeout_s: float, *, is_tls: bool = False) -> int:
    """Return the status of a GET; raises OSError or HTTPException."""
    connection: http.client.HTTPConnection
    if is_tls:
        unchecked = ssl._create_unverified_context()  # whether it listens is all that is asked
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout_s, context=unchecked)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def check_chat(port: int) -> None:
    """Make one plain chat and raise RuntimeError unless it is answered as the upstream answers."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", CHAT_PATH, chat_body("json"), HEADERS)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    if response.status != 200 or "chat.completion" not in text:
        raise RuntimeError(f"a chat was answered with {response.status}: {text[:300]}")


def open_idle(port: int, path: str) -> http.client.HTTPConnection:
    """Open a connection, make one GET on it and leave it open."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    connection.getresponse().read()
    return connection


def is_open(connection: http.client.HTTPConnection) -> bool:
    """Say whether the server has kept an idle connection open."""
    if connection.sock is None:
        return False
    try:
        connection.sock.setblocking(False)
        return connection.sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class Upstream:
    """The fake upstream's counters."""

    def __init__(self, port: int) -> None:
        self.port = port

    def stats(self) -> dict[str, int]:
        """Return its counters of now."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/stats")
            counters: dict[str, int] = json.loads(connection.getresponse().read())
        return counters

    def wait(self, wanted: Callable[[dict[str, int]], bool], timeout_s: float) -> dict[str, int] | None:
        """Return the first counters that are as wanted; None if none were in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            counters = self.stats()
            if wanted(counters):
                return counters
            time.sleep(0.005)
        return None


def hang_up(port: int, upstream: Upstream, model: str, *, stream: bool, timeout_s: float) -> float | None:
    """Leave a request unfinished and return after how many ms the upstream saw it; None for not in time.

    A stream is left after its first chunk, any other request once it has reached the upstream. Nothing unread is
    left behind, so that the connection closes in good order and not with a reset.
    """
    body = chat_body(model, stream=stream)
    lines = [f"POST {CHAT_PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in HEADERS.items()), "", ""]).encode()
    before = upstream.stats()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head + body)
        received = b""
        while stream and b"data: " not in received:
            received += connection.recv(65536) or b"data: the connection was closed"
        if upstream.wait(lambda now: now["active"] > before["active"], 10) is None:
            raise RuntimeError(f"the request to be left never reached the upstream: {received[:300]!r}")
        time.sleep(BEFORE_LEAVING_S)
        left_ns = time.monotonic_ns()
    seen = upstream.wait(lambda now: now["aborted"] > before["aborted"], timeout_s)
    return (seen["last_abort_ns"] - left_ns) / 1e6 if seen else None
