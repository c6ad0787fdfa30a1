"""Start, stop and move the proxy's server for the tray, and open its pages whether or not it runs."""

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

from proxy import paths
from proxy.command import as_typed
from proxy.doctor.examine import examine
from proxy.doctor.report import report_of
from proxy.errors.configuration import ConfigurationError, PortTaken, SettingError
from proxy.hosting import move_server, server_for
from proxy.process import freeze_objects
from proxy.running import check_own
from proxy.server.ports import free_port
from proxy.server.thread import Address, ServerThread
from proxy.services import Services
from proxy.settings.model import Settings
from proxy.web.ui.dashboard import Dashboard
from tray_app.tray_state import FoundHere

MAX_PORTS_TRIED = 20  # from the configured one on, to find a free one

log = logging.getLogger(__name__)


class ProxyController:
    """Control the server. For any thread but the server's own."""

    def __init__(
        self,
        services: Services,
        activate: Callable[[], None],
        quit_program: Callable[[], None] | None = None,
        describe_tray: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self.services = services
        self.dashboard = Dashboard(
            lambda: examine(services),
            secrets.token_urlsafe(32),
            activate,
            quit_program,
            lambda: report_of(services.store, describe_tray()),
        )
        self._server = server_for(services, self.dashboard, on_warm=freeze_objects)
        self._pages: ServerThread | None = None
        self._switching = threading.RLock()  # clicks, and edits of the settings file, which have threads of their own
        self.problem: str | None = None
        self.advice = ""  # what to do about the problem
        self.other_port: int | None = None
        self.found_here: tuple[FoundHere, ...] | None = None  # when somebody looked last
        services.store.listen(self._follow, may_refuse=True)

    @property
    def base_url(self) -> str | None:
        """Where the server listens; None while it is off."""
        address = self._server.address
        return address.base_url if address else None

    @property
    def warning(self) -> str | None:
        """A warning about the address it listens on, if any."""
        return self._server.warning

    @property
    def tools_url(self) -> str:
        """The base URL for tools, whether or not the server is on: an address that can be reached."""
        settings = self.services.store.current
        address = self._server.address or Address(settings.proxy_host, settings.proxy_port)
        return address.local.base_url

    def find_upstreams(self) -> tuple[FoundHere, ...]:
        """Look for servers of models on this computer, and return them. Blocks for a second."""
        self.found_here = tuple(FoundHere(each.name, each.title, each.base_url) for each in self.services.find_local())
        return self.found_here

    def start(self) -> None:
        """Start the server; a failure is kept as `problem`. A second call does nothing."""
        with self._switching:
            self._try_start(self.services.store.current)

    def _try_start(self, settings: Settings) -> None:
        self.problem, self.other_port = None, None
        try:
            self._start(settings)
        except ConfigurationError as error:
            log.error("%s", error)  # noqa: TRY400  one sentence; a traceback has no more to tell
            self.problem = error.detail[:1].upper() + error.detail[1:]
            self.advice = f"{as_typed(error.hint)}." if error.hint else ""
            if isinstance(error, PortTaken) and not self.services.store.fixed_by("proxy_port"):
                self.other_port = free_port(settings.proxy_host, settings.proxy_port, MAX_PORTS_TRIED)

    def _start(self, settings: Settings) -> None:
        try:
            self._server.start(settings.proxy_host, settings.proxy_port)
        except PortTaken:
            check_own(paths.runtime_dir(), settings.proxy_port)
            raise

    def stop(self) -> None:
        """Stop the server; running answers get time to end."""
        with self._switching:
            self._server.stop()
            self.problem, self.other_port = None, None

    def close(self) -> None:
        """Stop the server, the pages, the tools and the observers."""
        self.stop()
        if self._pages is not None:
            self._pages.stop()
        self.services.tools.stop()
        self.services.observers.stop()

    def root_url(self) -> str:
        """Return the root of the pages: the server's own, or that of a server for pages alone while it is off."""
        with self._switching:
            if self._server.address is not None:
                return self._server.address.local.root_url
            if self._pages is None:
                self._pages = server_for(self.services, self.dashboard, on_warm=freeze_objects)
            return self._pages.start("127.0.0.1", 0).root_url

    def link(self, to: str = "") -> str:
        """Return a link to one of the pages that works once."""
        return self.dashboard.link(self.root_url(), to)

    def _follow(self, old: Settings, new: Settings) -> None:
        """Move a running server to the new address in the settings; raises PortTaken to refuse the change."""
        if (old.proxy_host, old.proxy_port) == (new.proxy_host, new.proxy_port):
            return
        with self._switching:
            if self.problem is None:
                move_server(self._server, old, new)
                return
            try:
                self._server.start(new.proxy_host, new.proxy_port)
            except ConfigurationError as error:
                raise SettingError(error.detail) from error
            self.problem, self.other_port = None, None
