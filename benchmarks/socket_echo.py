"""WebSocket frames through a proxy: an upstream that sends each frame back, and clients that send one after another.

The same frame goes again and again, so that neither end parses: what is measured is the way between them.
"""

import asyncio
import statistics
import sys
import time

from benchmarks.client import KEY

# The handshake of RFC 6455, 1.3.
NONCE, PROOF = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
PATH = "/v1/realtime?model=echo"
HANDSHAKE = (
    f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Authorization: Bearer {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {NONCE}\r\n\r\n"
).encode()
ACCEPTED = (
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Accept: {PROOF}\r\n\r\n"
).encode()
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
AT_ONCE = 16
OPEN_LIMIT_S = 30.0
MASK = bytes(4)  # of zeros: the payload stands there as it is


def frame(size: int, *, masked: bool) -> bytes:
    """Return a binary frame."""
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x82, bit | size])
    elif size < 65_536:
        head = bytes([0x82, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x82, bit | 127]) + size.to_bytes(8, "big")
    return head + (MASK if masked else b"") + bytes(size)


class Echo(asyncio.Protocol):
    """Answer the handshake, and then each frame; the first one tells the size of all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.head = b""
        self.is_open = False
        self.frame_bytes = self.left_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take a part of the handshake, or of a frame."""
        if not self.is_open:
            self.head += data
            if b"\r\n\r\n" in self.head:
                self.is_open = b"upgrade: websocket" in self.head.lower()
                self.head = b""
                self.transport.write(ACCEPTED if self.is_open else HEALTHY)
            return
        if not self.frame_bytes:
            size = data[1] & 0x7F
            size = size if size < 126 else int.from_bytes(data[2 : 4 if size == 126 else 10], "big")
            self.frame_bytes = self.left_bytes = len(frame(size, masked=True))
            self.answer = frame(size, masked=False)
        self.left_bytes -= len(data)
        while self.left_bytes <= 0:
            self.transport.write(self.answer)
            self.left_bytes += self.frame_bytes


class Asker(asyncio.Protocol):
    """Send a frame, wait for its like, and again."""

    def __init__(self, size: int, delays_s: list[float], over: "asyncio.Future[None]") -> None:
        self.sent, self.expected_bytes = frame(size, masked=True), len(frame(size, masked=False))
        self.delays_s, self.over = delays_s, over
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        """Take a part of the handshake, or of a frame."""
        if not self.is_open:
            self.head += data
            if not self.head.startswith(b"HTTP/1.1 101"[: len(self.head)]):
                self.connection_lost(RuntimeError(f"the handshake was answered with {self.head[:200]!r}"))
            self.is_open = b"\r\n\r\n" in self.head
            if self.is_open:
                self.opened.set_result(None)
            return
        self.left_bytes -= len(data)
        if self.left_bytes <= 0:
            self.delays_s.append(time.perf_counter() - self.sent_at)
            self.send()

    def send(self) -> None:
        """Send a frame, and after that one as soon as its like is here."""
        self.left_bytes, self.sent_at = self.expected_bytes, time.perf_counter()
        self.transport.write(self.sent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it is over before its time."""
        if not self.over.done():
            self.over.set_exception(exc or ConnectionResetError("a WebSocket was closed"))


async def ask(port: int, size: int, seconds: float) -> dict[str, float]:
    """Exchange frames over several WebSockets for a while; return frames_per_s, median_us and p99_us."""
    loop = asyncio.get_running_loop()
    delays_s: list[float] = []
    over: asyncio.Future[None] = loop.create_future()
    made = []
    for _ in range(AT_ONCE):
        made.append(await loop.create_connection(lambda: Asker(size, delays_s, over), "127.0.0.1", port))
        await asyncio.wait([made[-1][1].opened, over], timeout=OPEN_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
    for _, asker in made:
        if asker.is_open:
            asker.send()
    await asyncio.wait([over], timeout=seconds)
    if over.done():
        over.result()
    over.cancel()
    for transport, _ in made:
        transport.abort()
    delays_s.sort()
    if not delays_s:
        raise RuntimeError("no frame came back")
    return {
        "frames_per_s": len(delays_s) / seconds,
        "median_us": statistics.median(delays_s) * 1e6,
        "p99_us": delays_s[len(delays_s) * 99 // 100] * 1e6,
    }


async def serve(port: int) -> None:
    """Send frames back, until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
