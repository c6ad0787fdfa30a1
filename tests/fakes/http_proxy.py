"""A network's own HTTP proxy: it opens tunnels (CONNECT) and passes plain requests on, or answers as a test says."""

import asyncio
import ssl
import threading
from collections.abc import Mapping
from types import TracebackType
from urllib.parse import urlsplit

from fakes.loops import end_tasks

STOP_S = 10.0
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def answered(status: int, reason: str, body: bytes = b"no", *headers: str) -> bytes:
    """Return an answer of the proxy's own."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Content-Type: text/html", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


WANTS_LOGIN = answered(407, "Proxy Authentication Required", b"no", 'Proxy-Authenticate: Basic realm="corp"')


class HttpProxy:
    """Run on a free port, from `with` to the end of its block.

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
        self.heads: list[str] = []  # of what it was asked
        self.port = 0
        self._routes = routes or {}
        self._answer = answer
        self._authorization = authorization
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="http-proxy")

    def __enter__(self) -> "HttpProxy":
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(STOP_S)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()

    @property
    def targets(self) -> list[str]:
        """Return what it was asked to reach."""
        return [head.split(" ")[1] for head in self.heads]

    def url(self, login: str = "") -> str:
        """Return what the environment names it by, with a login as somebody has typed it."""
        return f"{'https' if self._tls else 'http'}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
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
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _pass_on(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.split(" ", 2)
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = self._routes.get(parts.hostname or "", parts.port)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(ESTABLISHED)
        else:
            far_writer.write(passed_on(head, target).encode("latin-1"))
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def _end(self) -> None:
        self._server.close()
        await end_tasks()


def passed_on(head: str, target: str) -> str:
    """Return a request's head as the upstream gets it: once a connection, and without the proxy's own header."""
    parts = urlsplit(target)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    kept = [line for line in lines if not line.lower().startswith("proxy-authorization:")]
    ends = [] if any(line.lower().startswith("upgrade:") for line in kept) else ["Connection: close"]
    return "\r\n".join([first.replace(target, path, 1), *kept, *ends, "", ""])


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
