"""Run the proxy without a tray: start, wait for a signal, stop."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

from proxy import logs
from proxy.server.bridge import Bridge
from proxy.server.thread import ServerThread
from proxy.services import Services, assemble, secrets_of
from proxy.web.app import create_app

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]

Say = Callable[[str], Any]


def run(command_line: Mapping[str, Any], *, demo: bool, to_terminal: bool, say: Say) -> None:
    """Serve until a signal; raises ConfigurationError when it cannot start."""
    with ExitStack() as stack:
        stopped = stack.enter_context(signals_noted())
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        services = assemble(command_line)
        logs.start_logging(
            services.store.current.proxy_log_level, lambda: secrets_of(services.store), to_terminal=to_terminal
        )
        server = server_for(services)
        settings = services.store.current
        address = server.start(settings.proxy_host, settings.proxy_port)
        stack.callback(server.stop)
        say(f"Base URL for your tools: {address.base_url}")
        stopped.wait()


def server_for(services: Services) -> ServerThread:
    """Return the server of the Flask app, not yet started."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        warming = asyncio.create_task(services.upstream.warm_up())
        yield
        await warming
        await services.upstream.close()

    return ServerThread(Bridge(create_app(services)), lifespan)


@contextmanager
def demo_upstream() -> Iterator[dict[str, Any]]:
    """Run the demo upstream and yield the settings that lead to it."""
    from proxy.upstream.demo.app import create_demo_app  # noqa: PLC0415  only the demo pays for it

    server = ServerThread(create_demo_app(), name="demo-upstream")
    address = server.start("127.0.0.1", 0)
    try:
        yield {"openai_base_url": address.base_url, "openai_api_key": "demo"}
    finally:
        server.stop()


@contextmanager
def signals_noted() -> Iterator[threading.Event]:
    """Yield an event the signals to stop set; a second signal ends the program at once."""
    stopped = threading.Event()

    def note(number: int, frame: object) -> None:  # noqa: ARG001  signal's signature
        if stopped.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopped.set()

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
