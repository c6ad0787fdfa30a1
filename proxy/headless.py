"""Run the proxy without a tray: start, wait for a signal, stop."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from proxy import logs
from proxy.hosting import demo_upstream, server_for
from proxy.services import assemble, secrets_of

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]

Say = Callable[[str], Any]


def run(command_line: Mapping[str, Any], *, demo: bool, to_terminal: bool, say: Say) -> None:
    """Serve until a signal; raises ConfigurationError when it cannot start."""
    with ExitStack() as stack:
        stopped = stack.enter_context(signals_noted())
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        log = logs.start_logging(to_terminal=to_terminal)
        services = assemble(command_line)
        log.hide(lambda: secrets_of(services.store))
        server = server_for(services)
        settings = services.store.current
        address = server.start(settings.proxy_host, settings.proxy_port)
        stack.callback(server.stop)
        say(f"Base URL for your tools:  {address.base_url}")
        if demo:
            say("This is the demo: answers are made up on this computer; no key, no network, no cost. Model: demo-chat")
        elif not secrets_of(services.store) and not settings.proxy_forward_auth_header:
            say("There is no upstream API key yet: set OPENAI_API_KEY and start again.")
        say(f"Log:  {log.file or 'cannot be written'}    Stop with Ctrl-C.")
        stopped.wait()


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
