"""The server in a thread of its own: start it, move it to another port, stop it."""

import asyncio
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from proxy.errors.configuration import ConfigurationError, PortTaken
from proxy.server.bridge import NoteRefusal
from proxy.server.connection import App
from proxy.server.limits import Limits, affordable
from proxy.server.ports import listen, unheard
from proxy.server.running_server import RunningServer

STOP_LIMIT_S = 8.0
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
OWN_PORT_LIMIT_S = 2.0  # how long a drained server may take to close its listening sockets
OWN_PORT_EVERY_S = 0.02
ONE_OF_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what listens everywhere, and one of its addresses

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def base_url(self) -> str:
        """The URL tools are pointed at."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    @property
    def local(self) -> "Address":
        """The same on this computer: not every system can call the address that stands for all of them."""
        return Address(ONE_OF_ALL.get(self.host, self.host), self.port)

    @property
    def root_url(self) -> str:
        """Where the program's own pages are."""
        return self.base_url.removesuffix("/v1")


class ServerThread:
    """Serve one app. Every method may be called on any thread but the server's own, one call at a time.

    `note_refusal` hears, on the event loop, of each request that is refused before the app hears of it.
    """

    def __init__(
        self,
        app: App,
        lifespan: Lifespan = nullcontext,
        name: str = "proxy-server",
        limits: Limits | None = None,
        note_refusal: NoteRefusal = lambda *_: None,
    ) -> None:
        self._app = app
        self._note_refusal = note_refusal
        limits = limits or Limits()
        self._limits = replace(limits, connections=affordable(limits.connections))
        self._lifespan = lifespan
        self._name = name
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._servings: list[RunningServer] = []  # the last one accepts, the others drain; touched on the loop only
        self.address: Address | None = None
        self.warning: str | None = None  # what is odd about where it listens

    def start(self, host: str, port: int) -> Address:
        """Listen and serve; connections are accepted when it returns. A second call returns where it serves.

        Raises PortTaken or ConfigurationError; port 0 takes any free one.
        """
        if self.address is not None:
            return self.address
        sockets = listen(host, port)
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=self._name, daemon=True)
        self._thread.start()
        ready.result()
        return self._serve(host, sockets)

    def move(self, host: str, port: int) -> Address:
        """Serve at a new address and drain the old one; raises as `start`, and then it serves where it did.

        From one host to another at the same port nothing listens for a moment: the new address may hold the old one.
        """
        if self.address is None or self.address == Address(host, port):
            return self.start(host, port)
        try:
            sockets = listen(host, port)
        except PortTaken:
            if port != self.address.port:
                raise
            sockets = self._listen_instead(host, self.address)
        return self._serve(host, sockets)

    def stop(self) -> None:
        """Stop accepting, give running answers their grace, end the thread. A second call does nothing."""
        if self._thread is None or self._stopping is None:
            return
        self._on_loop(self._stopping.set)
        self._thread.join(STOP_LIMIT_S)
        if self._thread.is_alive():
            log.error("the server thread has not ended within %.0f s", STOP_LIMIT_S)
        self._thread = self._stopping = self.address = None

    def _listen_instead(self, host: str, old: Address) -> list[socket.socket]:
        """Stop listening at the old address and listen at another host's same port; raises as `move`."""
        self._on_loop(self._drain)
        try:
            return listen_soon(host, old.port)
        except ConfigurationError:
            self._serve(old.host, listen_soon(old.host, old.port))
            raise

    def _serve(self, host: str, sockets: list[socket.socket]) -> Address:
        self._on_loop(lambda: self._replace(RunningServer(self._app, sockets, self._limits, self._note_refusal)))
        self.address = Address(host, sockets[0].getsockname()[1])
        log.info("listening on %s", self.address.base_url)
        self.warning = unheard(host, sockets)
        if self.warning is not None:
            log.warning("%s", self.warning)
        return self.address

    def _drain(self) -> None:
        for serving in self._servings:
            serving.drain()

    def _replace(self, serving: RunningServer) -> None:
        self._drain()
        self._servings = [*(old for old in self._servings if not old.is_over), serving]

    def _on_loop(self, function: Callable[[], T]) -> T:
        """Call a function on the loop and return what it returns."""
        assert self._loop is not None  # noqa: S101  start() has waited for it
        done: Future[T] = Future()

        def call() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001  handed to the waiting thread
                done.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        return done.result()

    def _run(self, ready: "Future[None]") -> None:
        # The standard loop: uvloop was measured, gained nothing on plain requests and lost a third on streams.
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(note_trouble)
        try:
            loop.run_until_complete(self._live(ready))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    async def _live(self, ready: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with self._lifespan():
            ready.set_result(None)
            await self._stopping.wait()
            self._drain()
            for serving in self._servings:
                await serving.ended()
            self._servings = []


def note_trouble(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody caught; that no connection can be accepted is a sentence, for asyncio says it for each try."""
    error = context.get("exception")
    if "socket" in context and isinstance(error, OSError) and error.errno in OUT_OF_FILES:
        log.warning("no new connection can be taken, for want of files or memory: %s", error.strerror)
    else:
        loop.default_exception_handler(context)


def listen_soon(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets, as soon as a server of ours has given the port back; raises as `listen`."""
    deadline = time.monotonic() + OWN_PORT_LIMIT_S
    while True:
        try:
            return listen(host, port)
        except PortTaken:
            if time.monotonic() > deadline:
                raise
        time.sleep(OWN_PORT_EVERY_S)
