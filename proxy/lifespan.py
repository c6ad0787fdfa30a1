"""What runs beside the requests while a server serves them, and what is closed when it stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.keys.reading import Keys
from proxy.services import Services
from proxy.tools.execution import ToolExecution
from proxy.upstream.router import UpstreamRouter

KEY_CHANGES_EVERY_S = 2.0


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Follow the keys and hold the tools until the block ends; then close upstream connections and stop the tools."""
    following = asyncio.create_task(follow_keys(services.keys))
    services.tools.hold()
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])
        await services.router.close()
        await asyncio.to_thread(services.tools.release)
        await asyncio.to_thread(services.ledger.stop)


async def warm_up(router: UpstreamRouter, tools: ToolExecution) -> None:
    """Import the SDK and start the tools; a request that comes meanwhile waits for the same import."""
    await router.warm_up()
    await tools.warm_up()


async def follow_keys(keys: Keys) -> None:
    """Look every now and then whether the command line has changed a key, off the loop."""
    while True:
        await asyncio.sleep(KEY_CHANGES_EVERY_S)
        await asyncio.to_thread(keys.follow_changes)
