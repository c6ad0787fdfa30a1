"""Put the Flask app behind the server, and run the demo upstream: what headless program and tray share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from proxy.errors.proxy_error import ProxyError
from proxy.flow.flow import Flow
from proxy.flow.observers import Observers
from proxy.lifespan import running, warm_up
from proxy.server.bridge import Bridge
from proxy.server.limits import Limits
from proxy.server.thread import Address, ServerThread
from proxy.services import Services
from proxy.settings.model import Settings
from proxy.web.app import create_app
from proxy.web.ui.blueprint import OWN_PATHS
from proxy.web.ui.dashboard import Dashboard

FIRST_ANSWERS_S = 0.2  # what may be answered without the SDK comes first


def server_for(
    services: Services,
    dashboard: Dashboard | None = None,
    limits: Limits | None = None,
    on_warm: Callable[[], object] = lambda: None,
) -> ServerThread:
    """Return the server of the Flask app, not yet started. It imports the SDK once its port answers.

    `on_warm` is called on the event loop once that is done.
    """

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with running(services):
            warming = asyncio.create_task(warm_up_later(services, on_warm))
            yield
            warming.cancel()
            await asyncio.wait([warming])

    note_refusal = partial(announce_refusal, services.observers)
    bridge = Bridge(create_app(services, dashboard), OWN_PATHS, note_refusal)
    return ServerThread(bridge, lifespan, limits=limits, note_refusal=note_refusal)


def announce_refusal(observers: Observers, method: str, path: str, error: ProxyError) -> None:
    """Announce a request that the server has refused by itself."""
    observers.refuse(Flow(method or "-", path or "-"), error)


def move_server(server: ServerThread, old: Settings, new: Settings) -> Address | None:
    """Move a running server to where changed settings want it; raises ConfigurationError, and then it has not moved.

    None where it does not run, or they want it where they did.
    """
    if server.address is None or (old.proxy_host, old.proxy_port) == (new.proxy_host, new.proxy_port):
        return None
    return server.move(new.proxy_host, new.proxy_port)


async def warm_up_later(services: Services, on_warm: Callable[[], object]) -> None:
    """Import the SDK and start the tools in the background, once the port answers."""
    await asyncio.sleep(FIRST_ANSWERS_S)
    await warm_up(services.router, services.tools)
    on_warm()


# Made up, US dollars for a million tokens: so that the demo shows what costs look like.
DEMO_PRICES = {
    **{name: {"input": 1.25, "cached": 0.125, "output": 10} for name in ("demo-chat", "demo-slow")},
    "demo-tools": {"input": 0.25, "cached": 0.025, "output": 2},
}


@contextmanager
def demo_upstream() -> Iterator[dict[str, Any]]:
    """Run the demo upstream and yield the settings that lead to it."""
    from proxy.demo.server import run_demo  # noqa: PLC0415  only the demo pays for it

    with run_demo() as base_url:
        yield {"openai_base_url": base_url, "openai_api_key": "demo", "proxy_prices": DEMO_PRICES}
