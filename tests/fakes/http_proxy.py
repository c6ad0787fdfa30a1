"""A network's own HTTP proxy: it opens tunnels (CONNECT) and passes plain requests on, or answers as a test says."""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from fakes.own_loop import OwnLoop, join

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def answered(status: int, reason: str, body: bytes = b"no", *headers: str) -> bytes:
    """Return an answer of the proxy's own."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Content-Type: text/html", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


WANTS_LOGIN = answered(407, "Proxy Authentication Required", b"no", 'Proxy-Authenticate: Basic realm="corp"')


class HttpProxy(OwnLoop):
    """A proxy of HTTP.

    `routes`: the ports of this computer where names lead that exist nowhere; `answer`: said in place of passing on, and
    then the connection is closed; `authorization`: the header without which nothing is passed on.
    """

    def __init__(
        self,
        routes: Mapping[str, int] | None = None,
        *,
        answer: bytes | None = None,
        authorization: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__("http-proxy", tls)
        self.heads: list[str] = []  # of what it was asked
        self._routes = routes or {}
        self._answer = answer
        self._authorization = authorization

    @property
    def targets(self) -> list[str]:
        """Return what it was asked to reach."""
        return [head.split(" ")[1] for head in self.heads]

    def url(self, login: str = "") -> str:
        """Return what the environment names it by, with a login as somebody has typed it."""
        return f"{'https' if self._tls else 'http'}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what is asked, or say what it is to say."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        wanted = f"Proxy-Authorization: {self._authorization}\r\n"
        is_known = self._authorization is None or wanted in head
        answer = self._answer if is_known else WANTS_LOGIN
        if answer is None:
            await self._pass_on(head, reader, writer)
        else:
            writer.write(answer)
            await writer.drain()

    async def _pass_on(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.split(" ", 2)
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = self._routes.get(parts.hostname or "", parts.port)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(ESTABLISHED)
        else:
            far_writer.write(passed_on(head, target).encode("latin-1"))
        await join(reader, writer, far_reader, far_writer)


def passed_on(head: str, target: str) -> str:
    """Return a request's head as the upstream gets it: once a connection, and without the proxy's own header."""
    parts = urlsplit(target)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    kept = [line for line in lines if not line.lower().startswith("proxy-authorization:")]
    ends = [] if any(line.lower().startswith("upgrade:") for line in kept) else ["Connection: close"]
    return "\r\n".join([first.replace(target, path, 1), *kept, *ends, "", ""])
