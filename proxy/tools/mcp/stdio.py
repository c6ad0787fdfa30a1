"""The way to a server that is a command: started, spoken to over its standard input and output, and ended whole."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from proxy.tools.mcp.config import McpServerConfig
from proxy.tools.mcp.environment import prepare
from proxy.tools.mcp.last_words import LastWords
from proxy.tools.mcp.lines import Lines, Noise, message_in
from proxy.tools.mcp.orphans import Orphans
from proxy.tools.mcp.tolerance import mended

CHUNK_BYTES = 65_536
LEAVE_S = 2.0  # for a server to end by itself when its input does, as the protocol asks
TERMINATE_S = 2.0  # from being asked to end to being killed
POLL_S = 0.01
REST_S = 0.02  # after a chunk with noise in it: a server that floods its output must not keep the loop busy

Incoming = SessionMessage | Exception


class ServerProcess:
    """A server's process, and what it wrote last."""

    def __init__(self, config: McpServerConfig, orphans: Orphans, words: LastWords) -> None:
        self.words = words
        self._config = config
        self._orphans = orphans
        self._noise = Noise(config.name)
        self.exit_code: int | None = None

    async def start(self) -> None:
        """Start the command; raises OSError, ProgramNotFound."""
        program, environment = await prepare(self._config.command or "", dict(self._config.env))
        loop = asyncio.get_running_loop()
        # asyncio's Process is these two; its transport, which must be closed, has no public name there.
        self._transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(limit=CHUNK_BYTES, loop=loop),
            program,
            *self._config.args,
            env=environment,
            cwd=self._config.cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=os.name == "posix",
        )
        self.pid = self._transport.get_pid()
        self._orphans.note(self.pid)
        if protocol.stdin is None or protocol.stdout is None or protocol.stderr is None:
            raise RuntimeError("a process was started without its pipes")
        self._input, self._output = protocol.stdin, protocol.stdout
        self._reading_errors = loop.create_task(self.words.read(protocol.stderr))

    async def read(self, messages: "MemoryObjectSendStream[Incoming]", ended: Callable[[], None]) -> None:
        """Pass on what the server says until its output ends; once nobody listens, it is still read, and dropped."""
        lines = Lines()
        try:
            while chunk := await self._output.read(CHUNK_BYTES):
                is_noisy = False
                for line, is_cut in lines.add(chunk):
                    message = message_in(line, is_cut=is_cut)
                    if message is not None:
                        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                            await messages.send(mended(SessionMessage(message)))
                    elif line.strip():
                        is_noisy = True
                        self._noise.note()
                if is_noisy:
                    await asyncio.sleep(REST_S)
        finally:
            ended()
            messages.close()

    async def write(self, messages: "MemoryObjectReceiveStream[SessionMessage]", ended: Callable[[], None]) -> None:
        """Pass on what we say until the server takes no more."""
        try:
            async for message in messages:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._input.write(text.encode("utf-8", "surrogatepass") + b"\n")
                await self._input.drain()
        except OSError:
            ended()

    async def stop(self) -> None:
        """End the server and what it has started: by the end of its input, asked, killed."""
        try:
            self._input.close()
            if not await self._has_ended(LEAVE_S):
                self._signal(is_last=False)
                if not await self._has_ended(TERMINATE_S):
                    self._signal(is_last=True)
                    await self._has_ended(TERMINATE_S)
            await asyncio.wait({self._reading_errors}, timeout=POLL_S * 10)  # what it started may hold it open
        finally:
            self._reading_errors.cancel()
            self.exit_code = self._transport.get_returncode()
            self._transport.close()
            self._orphans.forget(self.pid)

    async def _has_ended(self, limit_s: float) -> bool:
        ends = asyncio.get_running_loop().time() + limit_s
        while self._transport.get_returncode() is None:
            if asyncio.get_running_loop().time() > ends:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def _signal(self, *, is_last: bool) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._transport.kill()
            else:
                os.killpg(self.pid, signal.SIGKILL if is_last else signal.SIGTERM)


@asynccontextmanager
async def open_stdio(process: ServerProcess, ended: Callable[[], None]) -> AsyncGenerator[TransportStreams, None]:
    """Start a server and yield the ways to it and from it; `ended` is called when its output ends."""
    await process.start()
    incoming, received = anyio.create_memory_object_stream[Incoming](0)
    outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)
    loop = asyncio.get_running_loop()
    tasks = {loop.create_task(process.read(incoming, ended)), loop.create_task(process.write(to_send, ended))}
    try:
        yield received, outgoing
    finally:
        with anyio.CancelScope(shield=True):
            received.close()
            outgoing.close()
            await process.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            incoming.close()
            to_send.close()
