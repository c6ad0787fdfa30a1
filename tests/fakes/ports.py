"""Ports for programs that cannot be given 0."""

import socket
from contextlib import suppress
from random import SystemRandom

OF_NOBODY = range(20_000, 30_000)  # below those a system gives to whoever takes any: a free one stays free


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    # Not from the global generator, which Hypothesis seeds alike in every worker.
    for port in SystemRandom().sample(OF_NOBODY, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")
