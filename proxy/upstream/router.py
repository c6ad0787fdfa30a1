"""Choose the client of the upstream that the settings in force name, and the key it is asked with."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from proxy.errors.keyring import KeyringAbsent, NoUpstreamKey, UpstreamKeyNotRead
from proxy.settings.model import Settings
from proxy.settings.parsing import is_loopback
from proxy.settings.store import SettingsStore
from proxy.upstream.options import UpstreamOptions

if TYPE_CHECKING:
    from proxy.upstream.client import UpstreamClient


class KeySource(Protocol):
    """Where the key the proxy holds comes from."""

    version: object  # another one after each change

    def get(self) -> Awaitable[str]:
        """Return the key, once the keyring has been read; raises NoUpstreamKey."""


class UpstreamRouter:
    """Hold one client for each upstream in use. Every method runs on the event loop of its first call.

    `chosen` returns the settings in force; it raises SettingsBroken while nobody knows which upstream the user has
    chosen.
    """

    def __init__(self, store: SettingsStore, chosen: Callable[[], Settings], keys: KeySource) -> None:
        self._store = store
        self._chosen = chosen
        self._keys = keys
        self._clients: list[UpstreamClient] = []  # the last one is in use; answers of the others still run
        self._fits: object = None  # what was in force in the store when the client was chosen
        self._key = ""
        self._key_fits: tuple[object, object] = (None, None)  # the same of the key, and its version

    async def warm_up(self) -> None:
        """Import the SDK in a worker thread: it takes half a second, and the port answers before."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, importlib.import_module, "proxy.upstream.client")

    async def connect(self, callers_key: str | None = None) -> "tuple[UpstreamClient, str]":
        """Return the client to send with, and the key: the caller's, where it brought one; "" where none is needed.

        Raises SettingsBroken, NoUpstreamKey, SettingError and UpstreamFailure.
        """
        if self._fits is not self._store.in_force:
            self._chosen()  # raises before the key is asked for, whose keyring may have to wait for its user
        key = self._key if callers_key is None else callers_key
        if callers_key is None and self._key_fits != (self._store.in_force, self._keys.version):
            fits = (self._store.in_force, self._keys.version)
            key = self._key = await self._own_key()
            self._key_fits = fits
        if self._fits is not self._store.in_force:
            await self._renew_client()
        return self._clients[-1], key

    async def _own_key(self) -> str:
        """Return the key the proxy holds, "" where an upstream on this computer is asked without; raises NoUpstreamKey.

        The settings in force alone say where the upstream is, never a request.
        """
        try:
            return await self._keys.get()
        except NoUpstreamKey as error:
            may_exist = isinstance(error, UpstreamKeyNotRead) and not isinstance(error.__cause__, KeyringAbsent)
            if may_exist or not is_loopback(urlsplit(self._chosen().openai_base_url).hostname or ""):
                raise
            return ""

    async def close(self) -> None:
        """Close every connection."""
        clients, self._clients, self._fits = self._clients, [], None
        for client in clients:
            await client.close()

    async def _renew_client(self) -> None:
        """Choose the client for the settings in force; a former one is closed once its last answer has ended."""
        await self.warm_up()
        from proxy.upstream.client import UpstreamClient  # noqa: PLC0415  brings the SDK; warm_up has paid for it

        in_force = self._store.in_force
        options = UpstreamOptions.of(self._chosen())
        if not self._clients or self._clients[-1].options != options:
            client = UpstreamClient(options)
            for former in self._clients:
                former.retire()
            self._clients = [*(former for former in self._clients if not former.is_closed), client]
        self._fits = in_force
