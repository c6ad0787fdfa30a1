"""Choose upstreams for a model, and give each its client and the key it is asked with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from proxy.errors.keyring import KeyringAbsent, NoUpstreamKey, UpstreamKeyNotRead
from proxy.settings.model import Settings, changed_upstreams
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import Upstream
from proxy.upstream.cooldown import Cooldown
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.routing import Routing
from proxy.upstream.sdk import Sdk

if TYPE_CHECKING:
    from proxy.upstream.client import UpstreamClient


class KeySource(Protocol):
    """Where the key the proxy holds comes from."""

    version: object  # another one after each change

    def get(self) -> Awaitable[str]:
        """Return the key, once the keyring has been read; raises NoUpstreamKey."""


class HeldKey(NamedTuple):
    """An upstream's key as it was read: it counts as long as its source has the same version."""

    upstream: Upstream
    source: KeySource
    version: object
    key: str


class KeyRing(Protocol):
    """The keys of all upstreams."""

    def of(self, upstream: Upstream) -> KeySource:
        """Return where an upstream's key comes from."""


class UpstreamRouter:
    """Hold one client for each upstream in use. Every method runs on the event loop of its first call.

    `chosen` returns the settings in force; it raises SettingsBroken while nobody knows which upstream the user has
    chosen.
    """

    def __init__(self, store: SettingsStore, chosen: Callable[[], Settings], keys: KeyRing) -> None:
        self._store = store
        self._chosen = chosen
        self._keys = keys
        self.cooldown = Cooldown()
        self._sdk = Sdk()
        self._settings: Settings | None = None  # those the routes, and the clients that are ready, were made for
        self._in_force: object = None  # what was in force in the store at that time
        self._routing: Routing | None = None
        # By the upstream's name, for as long as the settings are the same: the clients known to fit them, and the keys.
        # Whoever reads them looks whether they are the ones of its upstream; `connect` fills them in.
        self.ready: dict[str, UpstreamClient] = {}
        self.held_keys: dict[str, HeldKey] = {}
        self._clients: dict[str, UpstreamClient] = {}  # the latest of each name
        self._late: dict[str, UpstreamClient] = {}  # the same for requests that began under other settings
        self._former: list[UpstreamClient] = []  # retired, but for their last answers

    async def warm_up(self) -> None:
        """Import the SDK in a worker thread: it takes half a second, and the port answers before.

        Raises SdkNotLoaded; a later call tries again.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._sdk.load, "proxy.upstream.client")

    def routing(self) -> Routing:
        """Return the routes of the settings in force; raises SettingsBroken."""
        if self._routing is None or self._in_force is not self._store.in_force:
            in_force = self._store.in_force
            settings = self._chosen()
            routing, before = Routing(settings), self._settings
            if before is not None:
                were = [upstream.name for upstream in before.upstreams]  # who is alone never rests
                self.cooldown.forget(were if routing.is_plain else changed_upstreams(before, settings))
            self._routing, self._settings, self._in_force = routing, settings, in_force
            names = frozenset(upstream.name for upstream in settings.upstreams)
            self.ready, self.held_keys = {}, {}
            for name in self._clients.keys() - names:
                self._retire(self._clients.pop(name))
            for client in self._late.values():
                self._retire(client)
            self._late = {}
        return self._routing

    def chosen_upstream(self) -> Upstream:
        """Return the upstream the user has chosen; raises SettingsBroken."""
        self.routing()
        assert self._settings is not None  # noqa: S101  the routes were made for them
        return self._settings.chosen_upstream

    async def connect(self, upstream: Upstream, callers_key: str | None = None) -> "tuple[UpstreamClient, str]":
        """Return the client to send with, and the key: the caller's, where it brought one; "" where none is needed.

        Raises NoUpstreamKey, SdkNotLoaded and UpstreamFailure.
        """
        key = callers_key if callers_key is not None else await self._key(upstream)
        client = self.ready.get(upstream.name)
        if client is None or client.upstream is not upstream:
            client = await self._prepare(upstream)
        return client, key

    async def close(self) -> None:
        """Close every connection."""
        clients = [*self._clients.values(), *self._late.values(), *self._former]
        self._clients, self.ready, self._late, self._former, self._routing = {}, {}, {}, [], None
        for client in clients:
            await client.close()

    async def _key(self, upstream: Upstream) -> str:
        """Return the key the proxy holds for an upstream; one on this computer may have none. Raises NoUpstreamKey."""
        if upstream.auth == "none":
            return ""
        source = self._keys.of(upstream)
        held = self.held_keys.get(upstream.name)
        if held is not None and held.version is source.version:
            return held.key
        version = source.version
        try:
            key = await source.get()
        except NoUpstreamKey as error:
            may_exist = isinstance(error, UpstreamKeyNotRead) and not isinstance(error.__cause__, KeyringAbsent)
            if may_exist or not upstream.is_local:
                raise
            key = ""
        self.held_keys[upstream.name] = HeldKey(upstream, source, version, key)
        return key

    async def _prepare(self, upstream: Upstream) -> "UpstreamClient":
        """Return the upstream's client; a former one is closed once its last answer has ended."""
        await self.warm_up()
        from proxy.upstream.client import UpstreamClient  # noqa: PLC0415  brings the SDK; warm_up has paid for it

        settings = self._settings
        assert settings is not None  # noqa: S101  whoever has an upstream has asked for its route
        options = UpstreamOptions.of(settings, upstream)
        is_late = upstream not in settings.upstreams  # the request began under other settings, and ends where it began
        clients = self._late if is_late else self._clients
        client = clients.get(upstream.name)
        if client is None or client.options != options:
            if client is not None:
                self._retire(client)
            client = clients[upstream.name] = UpstreamClient(options)
        client.upstream, client.label = upstream, client.name if upstream.is_unnamed else upstream.name
        if not is_late:
            self.ready[upstream.name] = client
        return client

    def _retire(self, client: "UpstreamClient") -> None:
        client.retire()
        self._former = [*(former for former in self._former if not former.is_closed), client]
