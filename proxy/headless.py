"""Run the proxy without a tray: start, wait for a signal, stop."""

import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from proxy import logs
from proxy.hosting import demo_upstream, server_for
from proxy.services import assemble

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]

KEYRING_PATIENCE_S = 6.0  # a keyring that waits for its user is given up before
NO_KEY_HINT = "store it with `openai-tray-proxy key set`, or set OPENAI_API_KEY and start again."

Say = Callable[[str], Any]


def run(command_line: Mapping[str, Any], *, demo: bool, to_terminal: bool, say: Say) -> None:
    """Serve until a signal; raises ConfigurationError when it cannot start."""
    with ExitStack() as stack:
        wait_for_signal = stack.enter_context(signals_noted())
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        log = logs.start_logging(to_terminal=to_terminal)
        services = assemble(command_line)
        log.hide(services.every_secret)
        services.load_keys()
        server = server_for(services)
        settings = services.store.current
        address = server.start(settings.proxy_host, settings.proxy_port)
        stack.callback(server.stop)
        say(f"Base URL for your tools:  {address.base_url}")
        if demo:
            say("This is the demo: answers are made up on this computer; no key, no network, no cost. Model: demo-chat")
        elif not settings.proxy_forward_auth_header and services.secrets.loaded.wait(KEYRING_PATIENCE_S):
            state = services.secrets.state
            say(f"Upstream key:  {state}" if state.key else f"There is no upstream API key yet: {NO_KEY_HINT}")
        say(f"Log:  {log.file or 'cannot be written'}    Stop with Ctrl-C.")
        wait_for_signal()


@contextmanager
def signals_noted() -> Iterator[Callable[[], object]]:
    """Yield a function that waits for a signal to stop; a second signal ends the program at once.

    The interpreter writes each signal to a socket, whichever thread it meets, and the main thread waits for that byte.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    woken_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        with signals_handled(lambda: None):
            yield lambda: reader.recv(1)
    finally:
        signal.set_wakeup_fd(woken_before)
        reader.close()
        writer.close()


@contextmanager
def signals_handled(stop: Callable[[], object]) -> Iterator[None]:
    """Call a function at the first signal to stop; a second one ends the program at once. Main thread only."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:  # noqa: ARG001  signal's signature
        noted.append(number)
        if len(noted) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop()

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
