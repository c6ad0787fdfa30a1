"""Count what one chat request walks through: `python -m benchmarks.walk`.

The functions of ours that are called (coroutines each time they go on), the files they stand in, and how often the next
one stands in another room, which is the first folder below `proxy`. Counted with `sys.setprofile` on the event loop's
thread, from the request's first byte to the answer's last; an upstream in this process answers at once.
"""

import argparse
import http.client
import json
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import proxy
from proxy.hosting import server_for
from proxy.services import assemble

SETTLE_S = 0.05
HOME = Path(proxy.__file__).parent
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
COMPLETION = json.dumps(
    {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}
).encode()
CHAT = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
    b"User-Agent: %b\r\nContent-Length: %d\r\n\r\n%b"
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


@dataclass
class Walk:
    """The calls of one request, in their order."""

    steps: list[tuple[str, str]] = field(default_factory=list)  # file below `proxy`, function

    @property
    def files(self) -> Counter[str]:
        """Return how many calls each file has."""
        return Counter(file for file, _ in self.steps)

    @property
    def room_changes(self) -> int:
        """Return how often a call stands in another room than the one before it."""
        rooms = [file.partition("/")[0] for file, _ in self.steps]
        return sum(one != other for one, other in pairwise(rooms))


class Recorder:
    """Note the calls of the threads it is set for, while a request is under way."""

    def __init__(self) -> None:
        self.walk: Walk | None = None

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Be called by the interpreter at every call and return."""
        name = frame.f_code.co_filename
        if event == "call" and self.walk is not None and name.startswith(str(HOME)):
            file = Path(name).relative_to(HOME).as_posix()
            self.walk.steps.append((file, frame.f_code.co_name))


class Upstream(socketserver.StreamRequestHandler):
    """Answer every request with one completion."""

    def handle(self) -> None:
        """Serve one connection."""
        while head := self.read_head():
            length = next(int(line[15:]) for line in head if line.lower().startswith(b"content-length:"))
            self.rfile.read(length)
            self.wfile.write(ANSWER % (len(COMPLETION), COMPLETION))

    def read_head(self) -> list[bytes]:
        """Return the lines of a head, [] at the connection's end."""
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            lines.append(line.strip())
        return lines


@contextmanager
def upstream() -> Iterator[str]:
    """Run the upstream, and yield its base URL."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upstream) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def record() -> tuple[Walk, Walk]:
    """Return the walk of a chat with a new head, and of one with the same head again."""
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder, upstream() as base_url:
        chosen = {"proxy_port": 0, "openai_base_url": base_url, "openai_api_key": "walk"}
        server = server_for(assemble(chosen, Path(folder, "settings.toml"), ledger_file=Path(folder, "usage.sqlite3")))
        threading.setprofile(recorder)
        try:
            address = server.start("127.0.0.1", 0)
        finally:
            threading.setprofile(None)
        client = socket.create_connection(("127.0.0.1", address.port), timeout=30)
        try:
            ask(client, "warm-up/1.0")  # imports, the upstream's connection
            walks = []
            for _ in range(2):
                time.sleep(SETTLE_S)  # what the request before has left to do is not counted
                recorder.walk = Walk()
                ask(client, "walk/1.0")
                time.sleep(SETTLE_S)
                walks.append(recorder.walk)
                recorder.walk = None
        finally:
            client.close()
            server.stop()
    return walks[0], walks[1]


def ask(client: socket.socket, agent: str) -> None:
    """Send a chat in one go and read its answer; raises RuntimeError where that is not the completion."""
    client.sendall(CHAT % (client.getpeername()[1], agent.encode(), len(BODY), BODY))
    answer = http.client.HTTPResponse(client)
    answer.begin()
    if (answer.status, answer.read()) != (200, COMPLETION):
        raise RuntimeError(f"the chat was answered with {answer.status}")


def main() -> int:
    """Print the figures, and with --list each step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.walk", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print every call in its order too")
    options = parser.parse_args()
    for name, walk in zip(("new head", "seen head"), record(), strict=True):
        if options.list:
            for file, function in walk.steps:
                print(f"  {file}: {function}")
        print(f"{name}: {len(walk.steps)} calls, {len(walk.files)} files, {walk.room_changes} room changes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
