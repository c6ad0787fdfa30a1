"""Ports for programs that cannot be given 0."""

import random
import socket
from contextlib import suppress

OF_NOBODY = range(20_000, 30_000)  # below those a system gives to whoever takes any: a free one stays free


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    for port in random.sample(OF_NOBODY, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")
