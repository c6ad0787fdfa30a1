"""Run the proxy without a tray: start, wait for a signal, stop."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from proxy import paths
from proxy.cli.approvals import TerminalAsker
from proxy.cli.doctor import examine
from proxy.cli.greeting import base_url_line, key_line, last_line, page_line
from proxy.errors.configuration import PortTaken
from proxy.hosting import demo_upstream, server_for
from proxy.logs.log import start_logging
from proxy.process import freeze_objects, signals_noted, tune_process
from proxy.running import InstanceInfo, check_own, published
from proxy.server.thread import Address, ServerThread
from proxy.services import assemble
from proxy.settings.model import Settings
from proxy.web.ui.dashboard import Dashboard

Say = Callable[[str], Any]

log = logging.getLogger(__name__)


def run(command_line: Mapping[str, Any], *, demo: bool, to_terminal: bool, is_read: bool, say: Say) -> None:
    """Serve until a signal; raises ConfigurationError when it cannot start.

    The links to the program's page are said only where somebody reads them: what is not a terminal may be kept.
    """
    with ExitStack() as stack:
        wait_for_signal = stack.enter_context(signals_noted())
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        log_file = start_logging(to_terminal=to_terminal)
        services = assemble(command_line)
        log_file.hide(services.every_secret)
        services.follow_log_level()
        tune_process()
        services.load_keys()
        dashboard = Dashboard(lambda: examine(services), secrets.token_urlsafe(32))
        server = server_for(services, dashboard, on_warm=freeze_objects)
        settings = services.store.current
        if services.store.warning:
            say(services.store.warning)
        address = start(server, settings)
        stack.callback(server.stop)
        stack.enter_context(announced(address, dashboard.token))
        root_url = address.local.root_url
        if is_read:
            services.tools.consent.attach(TerminalAsker(say, lambda: dashboard.link(root_url, "approvals")))
        say(base_url_line(address.base_url, address.local.base_url))
        if demo:
            say("This is the demo: answers are made up on this computer; no key, no network, no cost. Model: demo-chat")
        elif not settings.proxy_forward_auth_header and (line := key_line(services.secrets)):
            say(line)
        say(page_line(dashboard.link(root_url) if is_read else None))
        say(last_line(log_file.file))
        wait_for_signal()


def start(server: ServerThread, settings: Settings) -> Address:
    """Serve where the settings say; raises ConfigurationError, RunsAlready where a proxy of this user has the port."""
    try:
        return server.start(settings.proxy_host, settings.proxy_port)
    except PortTaken:
        check_own(paths.runtime_dir(), settings.proxy_port)
        raise


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
