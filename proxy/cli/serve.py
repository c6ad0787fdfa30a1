"""Run the proxy without a tray: start, wait for a signal, stop."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from proxy import paths
from proxy.cli.approvals import TerminalAsker
from proxy.cli.greeting import base_url_line, key_line, last_line, page_line
from proxy.doctor.examine import examine
from proxy.doctor.report import report_of
from proxy.errors.configuration import PortTaken
from proxy.hosting import demo_upstream, move_server, server_for
from proxy.logs.log import start_logging
from proxy.process import freeze_objects, signals_noted, tune_process, wait_for_keyring_calls
from proxy.running import InstanceInfo, check_own, published
from proxy.server.thread import Address, ServerThread
from proxy.services import assemble
from proxy.settings.key_variables import take_keys
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore
from proxy.web.ui.dashboard import Dashboard

Say = Callable[[str], Any]

log = logging.getLogger(__name__)


def run(command_line: Mapping[str, Any], *, demo: bool, to_terminal: bool, is_read: bool, say: Say) -> None:
    """Serve until a signal; raises ConfigurationError when it cannot start.

    The links to the program's page are said only where somebody reads them: what is not a terminal may be kept.
    """
    with ExitStack() as stack:
        stack.callback(wait_for_keyring_calls)
        wait_for_signal = stack.enter_context(signals_noted())
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        log_file = start_logging(to_terminal=to_terminal)
        services = assemble(command_line, environment=take_keys(os.environ))
        log_file.hide(services.every_secret)
        services.follow_log_level()
        tune_process()
        stack.callback(services.observers.stop)  # after the server: the last requests are announced while it stops
        services.load_keys()
        dashboard = Dashboard(
            lambda: examine(services), secrets.token_urlsafe(32), report=lambda: report_of(services.store)
        )
        server = server_for(services, dashboard, on_warm=freeze_objects)
        settings = services.store.current
        if services.store.warning:
            say(services.store.warning)
        for sentence in services.store.passed_over:
            say(f"{sentence}.")
        place = stack.enter_context(Place(server, start(server, settings), dashboard, say, is_read=is_read))
        services.store.listen(place.follow, may_refuse=True)
        services.store.observe(SettingsWarnings(services.store, say).tell)
        stack.callback(services.settings_follower.stop)
        services.settings_follower.start()
        if is_read:
            services.tools.consent.attach(TerminalAsker(say, lambda: dashboard.link(place.root_url, "approvals")))
        place.say_base_url()
        if demo:
            say("This is the demo: answers and prices are made up here; no key, no network. Model: demo-chat")
        elif not settings.proxy_forward_auth_header and (line := key_line(services.secrets)):
            say(line)
        place.say_page()
        say(last_line(log_file.file))
        wait_for_signal()


def start(server: ServerThread, settings: Settings) -> Address:
    """Serve where the settings say; raises ConfigurationError, RunsAlready where a proxy of this user has the port."""
    try:
        return server.start(settings.proxy_host, settings.proxy_port)
    except PortTaken:
        check_own(paths.runtime_dir(), settings.proxy_port)
        raise


class Place:
    """Where the proxy serves: told in the terminal and to who asks for a link, and moved as the settings want it."""

    def __init__(
        self, server: ServerThread, address: Address, dashboard: Dashboard, say: Say, *, is_read: bool
    ) -> None:
        self._server = server
        self._address = address
        self._dashboard = dashboard
        self._say = say
        self._is_read = is_read
        self._announced = ExitStack()

    def __enter__(self) -> "Place":
        self._announced.enter_context(announced(self._address, self._dashboard.token))
        return self

    def __exit__(self, *_: object) -> None:
        self._announced.close()
        self._server.stop()

    @property
    def root_url(self) -> str:
        """Where the program's page is."""
        return self._address.local.root_url

    def follow(self, old: Settings, new: Settings) -> None:
        """Move the server to where changed settings want it; raises ConfigurationError to refuse the change."""
        address = move_server(self._server, old, new)
        if address is None or address == self._address:
            return
        self._address = address
        self._announced.close()
        self._announced.enter_context(announced(address, self._dashboard.token))
        self.say_base_url()
        self.say_page()

    def say_base_url(self) -> None:
        """Say where tools are pointed."""
        self._say(base_url_line(self._address.base_url, self._address.local.base_url))
        if self._server.warning is not None:
            self._say(f"{self._server.warning}.")

    def say_page(self) -> None:
        """Say how to open the program's page."""
        self._say(page_line(self._dashboard.link(self.root_url) if self._is_read else None))


class SettingsWarnings:
    """Say in the terminal what becomes wrong with the settings file, when it is right again, and what is in force."""

    def __init__(self, store: SettingsStore, say: Say) -> None:
        self._store = store
        self._say = say
        self._said = store.warning
        self._taken_up = store.taken_up

    def tell(self) -> None:
        """Say it where it has changed."""
        if (warning := self._store.warning) != self._said:
            self._said = warning
            self._say(warning or "The settings file is right again and in force.")
        if (taken_up := self._store.taken_up) is not self._taken_up:
            self._taken_up = taken_up
            self._say(str(taken_up))


@contextmanager
def announced(address: Address, token: str) -> Iterator[None]:
    """Say where the proxy is to those who ask for a link to its page, as long as it serves."""
    file = paths.runtime_dir() / f"serve-{address.port}.json"
    with ExitStack() as stack:
        try:
            stack.enter_context(published(file, InstanceInfo(os.getpid(), address.local.root_url, token)))
        except OSError as error:
            log.warning("no link to the page can be asked for: %s", error)
        yield
