"""Reading requests: head, `Expect: 100-continue`, sized and chunked bodies."""

import asyncio
from dataclasses import dataclass

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class NotHttp(Exception):
    """The bytes are no HTTP/1 request: a TLS greeting, most likely."""


@dataclass(frozen=True)
class Head:
    """The head of a request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str:
        """Return the value of the first header of that name in lower case, or nothing."""
        return next((value.lower() for key, value in self.headers if key.lower() == name), "")

    @property
    def expects_continue(self) -> bool:
        """Say whether the client waits for 100 Continue before it sends its body."""
        return self.header("expect") == "100-continue"


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None where the client closed instead of asking, NotHttp where it speaks something else."""
    try:
        first = await reader.readexactly(1)
        if not first.isalpha():
            raise NotHttp
        head = first + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if request_line.count(" ") != 2 or not all(":" in line for line in lines):
        raise NotHttp
    method, target, _ = request_line.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    return Head(method, target, [(name, value.strip()) for name, value in pairs])


async def read_body(reader: asyncio.StreamReader, head: Head, body: bytearray) -> None:
    """Read the body of a request into `body`, which keeps what came when the client breaks off."""
    if "chunked" in head.header("transfer-encoding"):
        await _read_chunks(reader, body)
        return
    left = int(head.header("content-length") or 0)
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        body += piece
        left -= len(piece)


async def _read_chunks(reader: asyncio.StreamReader, body: bytearray) -> None:
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
