"""A network's SOCKS server, of version 4, 4a and 5 (RFC 1928, RFC 1929): it opens ways, or refuses as a test says."""

import asyncio
import ipaddress
from collections.abc import Mapping

from fakes.own_loop import OwnLoop, join

NO_LOGIN, WITH_LOGIN, NONE_OF_THEM = 0, 2, 255
BY_ADDRESS, BY_NAME = 1, 3
GRANTED, GRANTED_4, REFUSED_4 = 0, 90, 91


class SocksProxy(OwnLoop):
    """A SOCKS server.

    `routes`: the ports of this computer where names and addresses lead; `login`: user and password without which no way
    is opened; `reply`: what it says in place of opening one; `answer`: bytes in place of any answer of SOCKS.
    """

    def __init__(
        self,
        routes: Mapping[str, int] | None = None,
        *,
        login: tuple[bytes, bytes] | None = None,
        reply: int = GRANTED,
        answer: bytes | None = None,
    ) -> None:
        super().__init__("socks-proxy")
        self.asked: list[tuple[str, int]] = []  # hosts and ports, as they were asked for
        self.logins: list[tuple[bytes, bytes]] = []
        self._routes = routes or {}
        self._login = login
        self._reply = reply
        self._answer = answer

    def url(self, scheme: str, login: str = "") -> str:
        """Return what the environment names it by, with a login as somebody has typed it."""
        return f"{scheme}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Open a way to where the client wants, and join both connections."""
        version = (await reader.readexactly(1))[0]
        if self._answer is not None:
            writer.write(self._answer)
        elif version == 5:
            await self._serve_5(reader, writer)
        else:
            await self._serve_4(reader, writer)

    async def _serve_5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        offered = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = NO_LOGIN if self._login is None else WITH_LOGIN
        if wanted not in offered:
            writer.write(bytes([5, NONE_OF_THEM]))
            return
        writer.write(bytes([5, wanted]))
        if self._login is not None:
            await reader.readexactly(1)
            user, password = await sized(reader), await sized(reader)
            self.logins.append((user, password))
            writer.write(bytes([1, (user, password) != self._login]))
            if (user, password) != self._login:
                return
        _, _, _, kind = await reader.readexactly(4)
        if kind == BY_NAME:
            host = (await sized(reader)).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == BY_ADDRESS else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((host, port))
        writer.write(bytes([5, self._reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self._reply == GRANTED:
            await self._join(host, reader, writer)

    async def _serve_4(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, high, low, *numbers = await reader.readexactly(7)
        await reader.readuntil(b"\0")  # the user
        host = str(ipaddress.ip_address(bytes(numbers)))
        if numbers[:3] == [0, 0, 0]:  # 4a: the name follows
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        self.asked.append((host, high << 8 | low))
        writer.write(bytes([0, REFUSED_4 if self._reply else GRANTED_4, 0, 0, 0, 0, 0, 0]))
        if self._reply == GRANTED:
            await self._join(host, reader, writer)

    async def _join(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, *await asyncio.open_connection("127.0.0.1", self._routes[host]))


async def sized(reader: asyncio.StreamReader) -> bytes:
    """Return what stands behind its length."""
    return await reader.readexactly((await reader.readexactly(1))[0])
