"""What runs beside the requests while a server serves them, and what is closed when it stops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import SdkNotLoaded
from proxy.exchange.answers import Beginning
from proxy.exchange.validate import PAGES, looks_like_json, read_at_most
from proxy.flow.healths import Healths
from proxy.http.headers import Headers
from proxy.services import Services
from proxy.settings.model import Settings
from proxy.tools.execution import ToolExecution
from proxy.updates import Updates
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.router import UpstreamRouter

LOOK_EVERY_S = 2.0  # whether the command line has changed a key, or a process has learned or forgotten a repair
UPDATES_EVERY_S = 30.0  # how often is looked whether the package index is to be asked: the setting may be new
PAUSES_S = (15.0, 30.0, 60.0, 120.0)  # between two questions to an upstream that is down; the last one again and again
MAX_ANSWER_BYTES = 1_048_576
NO_LIST = (404, 405)  # the upstream has no models to list

log = logging.getLogger(__name__)


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Follow what others change and hold the tools until the block ends; then close connections and stop the tools."""
    following = asyncio.create_task(follow(services.keys.follow_changes, services.learned.follow))
    asking = asyncio.create_task(ask_again(services.health, services.router, services.chosen))
    looking = asyncio.create_task(look_for_updates(services.updates))
    services.tools.hold()
    services.ledger.begin()
    services.kept.begin()
    try:
        yield
    finally:
        following.cancel()
        asking.cancel()
        looking.cancel()
        await asyncio.wait([following, asking, looking])
        await services.router.close()
        await asyncio.to_thread(services.drills.close)
        await asyncio.to_thread(services.tools.release)
        await asyncio.to_thread(services.ledger.stop)
        await asyncio.to_thread(services.kept.stop)


async def warm_up(router: UpstreamRouter, tools: ToolExecution) -> None:
    """Import the SDK and start the tools; a request that comes meanwhile waits for the same import."""
    with suppress(SdkNotLoaded):  # the log has it, and the first request tries again
        await router.warm_up()
    await tools.warm_up()


async def ask_again(
    healths: Healths, router: UpstreamRouter, settings: Callable[[], Settings], pauses_s: Sequence[float] = PAUSES_S
) -> None:
    """Ask upstreams that are down for their models, until they answer: nobody else might ask for hours."""
    failed = 0
    while True:
        await asyncio.sleep(pauses_s[min(failed, len(pauses_s) - 1)])
        names = healths.down()
        recovered = [name for name in names if await answers(router, settings, name)]
        for name in recovered:
            healths.of(name).note_recovery()
        failed = failed + 1 if len(recovered) < len(names) else 0


async def answers(router: UpstreamRouter, settings: Callable[[], Settings], name: str) -> bool:
    """Tell whether an upstream gives a whole answer to a question that costs nothing; it may be a refusal.

    A page is none, whatever its status: networks that want a login answer in the place of everybody.
    """
    try:
        router.routing()
        upstream = settings().upstream_named(name)
        if upstream is None:
            return False
        client, key = await router.connect(upstream)
        answer = await client.send(UpstreamRequest("GET", "/models", "", Headers(), None, None), key)
        try:
            body = await read_at_most(answer, MAX_ANSWER_BYTES)
        finally:
            answer.close()
    except ProxyError as error:
        log.debug("the upstream is still down: %s", error)
        return False
    return is_own_answer(answer.status, body, answer.content_type)


def is_own_answer(status: int, body: bytes, content_type: str) -> bool:
    """Tell whether an answer is one of the API, and not of who stands before it: JSON, or a refusal in its words.

    Many who speak the API list no models, and have their web server say so with a page.
    """
    if status < 300:
        return looks_like_json(body) or (len(body) > MAX_ANSWER_BYTES and Beginning(body).is_json)
    if status in NO_LIST:
        return True
    is_page = Beginning(body).is_page or content_type.partition(";")[0].strip().lower() in PAGES
    return 400 <= status < 500 and not is_page


async def look_for_updates(updates: Updates) -> None:
    """Have a newer version looked for where that is due, off the loop."""
    while True:
        await asyncio.sleep(UPDATES_EVERY_S)
        if updates.is_due:
            await asyncio.to_thread(updates.look)


async def follow(*looks: Callable[[], object]) -> None:
    """Look every now and then whether another process has changed something, off the loop."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for look in looks:
            await asyncio.to_thread(look)
