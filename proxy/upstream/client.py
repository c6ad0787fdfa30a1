"""Hold the way to the upstream that fits the settings in force."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from proxy.settings.model import Settings
from proxy.upstream.messages import UpstreamAnswer, UpstreamRequest, UpstreamSocket
from proxy.upstream.options import UpstreamOptions

if TYPE_CHECKING:
    from proxy.upstream.link import Link


class Upstream:
    """Ask the upstream. Every method runs on the event loop of its first call.

    `settings` raises SettingsBroken while nobody knows which upstream the user has chosen.
    """

    def __init__(self, settings: Callable[[], Settings], key: Callable[[], Awaitable[str]]) -> None:
        self._settings = settings
        self._key = key
        self._links: list[Link] = []  # the last one is in use; answers of the earlier ones may still be running
        self._fits: Settings | None = None

    async def warm_up(self) -> None:
        """Import the SDK in a worker thread: it takes half a second, and the port answers before."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, importlib.import_module, "proxy.upstream.link")

    async def ask(self, request: UpstreamRequest, callers_key: str | None = None) -> UpstreamAnswer:
        """Return the upstream's answer, whatever its status; raises UpstreamFailure, NoUpstreamKey, SettingsBroken."""
        self._settings()  # raises before the key is asked for, whose keyring may have to wait for its user
        key = callers_key or await self._key()
        link = self._links[-1] if self._fits is self._settings() else await self._renew_link()
        return await link.ask(request, key)

    async def shake_hands(
        self, request: UpstreamRequest, callers_key: str | None = None
    ) -> UpstreamSocket | UpstreamAnswer:
        """Ask for a WebSocket: return it, or the upstream's refusal; raises as `ask`."""
        self._settings()  # as above
        key = callers_key or await self._key()
        link = self._links[-1] if self._fits is self._settings() else await self._renew_link()
        return await link.shake_hands(request, key)

    async def close(self) -> None:
        """Close every connection."""
        links, self._links, self._fits = self._links, [], None
        for link in links:
            await link.close()

    async def _renew_link(self) -> "Link":
        """Return the link for the settings in force; a changed one replaces the old, whose answers run on."""
        await self.warm_up()
        from proxy.upstream.link import Link  # noqa: PLC0415  brings the SDK; warm_up has paid for it off the loop

        settings = self._settings()
        options = UpstreamOptions.of(settings)
        if not self._links or self._links[-1].options != options:
            self._links.append(Link(options))
        self._fits = settings
        return self._links[-1]
