"""The server of the scripted upstream: an asyncio loop in a thread, and what a test may ask of it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any

from fakes.loops import end_tasks, stop_accepting
from fakes.scripted.answers import Answer
from fakes.scripted.book import Book
from fakes.scripted.connection import Connection
from fakes.scripted.recorded import Recorded
from fakes.scripted.wire import Watch

WAIT_S = 5.0
STOP_S = 10.0


class ScriptedUpstream:
    """Run a scripted provider on a free port of 127.0.0.1, from `with` to the end of its block.

    `send_buffer_bytes` bounds what the system takes for a client that does not read.
    Whatever fails in the server's own thread is raised when the block ends.
    """

    def __init__(self, *, send_buffer_bytes: int | None = None) -> None:
        self._send_buffer_bytes = send_buffer_bytes
        self._book = Book()
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._failures: list[BaseException] = []
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-upstream")

    def __enter__(self) -> "ScriptedUpstream":
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()
        if self._failures and error is None:
            raise self._failures[0]

    @property
    def port(self) -> int:
        """Return the port, which stays the same when the server stops listening and listens again."""
        return self._port

    @property
    def base_url(self) -> str:
        """Return the base URL that a client is given."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def https_base_url(self) -> str:
        """Return a base URL under which a client speaks TLS to a server that does not."""
        return f"https://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> list[Recorded]:
        """Return the requests so far, in the order in which they were complete."""
        return self._book.requests

    @property
    def hangups(self) -> list[float]:
        """Return when clients left an unfinished answer, as `time.monotonic()`."""
        return self._book.hangups

    @property
    def bytes_sent(self) -> int:
        """Return how many bytes of answers the system has taken."""
        return self._book.bytes_sent

    @property
    def accepted_connections(self) -> int:
        """Return how many connections were accepted."""
        return self._book.accepted_connections

    @property
    def open_connections(self) -> int:
        """Return how many of the accepted connections are still open."""
        return self._book.open_connections

    @property
    def not_http_connections(self) -> int:
        """Return how many connections spoke something else, TLS for example."""
        return self._book.not_http_connections

    def answer(self, answer: Answer, *, path: str | None = None) -> None:
        """Answer every request like this, or with `path` those to that path; a later call replaces an earlier one."""
        self._book.set_answers([answer], path)

    def answers(self, answers: Sequence[Answer], *, path: str | None = None) -> None:
        """Answer one request after the other, the last answer again and again."""
        self._book.set_answers(answers, path)

    def forget_answers(self) -> None:
        """Answer nothing any more, as at the beginning."""
        self._book.forget_answers()

    def wait_for_requests(self, count: int, timeout_s: float = WAIT_S) -> list[Recorded]:
        """Wait until so many requests are complete, and return all there are."""
        self._wait(lambda: len(self.requests) >= count, f"{count} requests", timeout_s)
        return self.requests

    def wait_for_hangup(self, timeout_s: float = WAIT_S, *, count: int = 1) -> float:
        """Wait until so many clients left an unfinished answer, and return when the last of them did."""
        self._wait(lambda: len(self.hangups) >= count, f"{count} clients to hang up", timeout_s)
        return self.hangups[count - 1]

    def wait_for_open_connections(self, count: int, timeout_s: float = WAIT_S) -> None:
        """Wait until exactly so many connections are open."""
        self._wait(lambda: self.open_connections == count, f"{count} open connections", timeout_s)

    def wait_for_bytes_sent(self, size_bytes: int, timeout_s: float = WAIT_S) -> None:
        """Wait until the system has taken so many bytes of answers."""
        self._wait(lambda: self.bytes_sent >= size_bytes, f"{size_bytes} bytes sent", timeout_s)

    def listen(self) -> None:
        """Listen, again on the same port after `stop_listening`; done twice it is no error."""
        if self._server is None:
            self._do(self._listen())

    def stop_listening(self) -> None:
        """Refuse new connections and leave the open ones alone; done twice it is no error."""
        self._do(self._stop_listening())

    def drop_connections(self) -> None:
        """Reset every open connection, as a change of network does; none of them counts as hung up."""
        self._do(self._drop_connections())
        self.wait_for_open_connections(0)

    def _wait(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        self._book.wait_until(is_so, what, timeout_s)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_S)

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        if self._send_buffer_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
        self._port = listener.getsockname()[1]
        self._server = await self._loop.create_server(lambda: Watch(self._accept), sock=listener)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            await stop_accepting(self._server)
            self._server = None

    async def _drop_connections(self) -> None:
        for connection in self._connections.values():
            connection.drop()

    async def _end(self) -> None:
        await self._stop_listening()
        await end_tasks()

    def _accept(self, watch: Watch, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._book.opened(), watch, writer, self._book)
        task = self._loop.create_task(connection.serve())
        self._connections[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        self._book.closed()
        if not task.cancelled() and (failure := task.exception()):
            self._failures.append(failure)
