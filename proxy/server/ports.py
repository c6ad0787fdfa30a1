"""Listening sockets, and who holds a port that is taken."""

import errno
import socket
import sys
from contextlib import suppress

import psutil

from proxy.errors.configuration import ConfigurationError, PortTaken

BACKLOG = 2048
WSAEACCES = 10013


def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets; raises PortTaken or ConfigurationError.

    For 127.0.0.1 the second one is [::1], where that is free: Node asks there first for `localhost`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first = bind(family, host.strip("[]"), port)
    sockets = [first]
    if host in ("127.0.0.1", "localhost"):
        with suppress(ConfigurationError):  # a computer without IPv6, or somebody else's port there
            sockets.append(bind(socket.AF_INET6, "::1", first.getsockname()[1]))
    return sockets


def bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """Return one listening socket; raises PortTaken or ConfigurationError."""
    # Named protocol: asyncio turns Nagle's delay off only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} is taken by {holder(port)}") from error
        if is_reserved(error):
            raise PortTaken(f"port {port} is reserved by Windows, for Hyper-V or WSL, or held by a service") from error
        raise ConfigurationError(f"it cannot listen on {host} port {port}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def is_reserved(error: OSError) -> bool:
    """Tell whether Windows keeps a port for itself: WSAEACCES, which elsewhere says that the user may not have it."""
    return getattr(error, "winerror", None) == WSAEACCES


def holder(port: int) -> str:
    """Name the program that listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another program"


def free_port(host: str, taken: int, tries: int) -> int | None:
    """Return the next free port above a taken one, None where there is none near."""
    for port in range(taken + 1, min(taken + 1 + tries, 65536)):
        try:
            sockets = listen(host, port)
        except ConfigurationError:
            continue
        for listener in sockets:
            listener.close()
        return port
    return None
