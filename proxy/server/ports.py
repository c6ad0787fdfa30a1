"""Listening sockets, and who holds a port that is taken."""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

from proxy.errors.configuration import ConfigurationError, PortTaken

BACKLOG = 2048
WSAEACCES = 10013
OTHER = "another program"
V6_LOCAL = ("::1", "::")  # where who asks for [::1] is answered


def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets; raises PortTaken or ConfigurationError.

    For 127.0.0.1 the second one is [::1], where that is free: Node asks there first for `localhost`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first = bind(family, host.strip("[]"), port)
    sockets = [first]
    if host in ("127.0.0.1", "localhost"):
        with suppress(ConfigurationError):  # a computer without IPv6, or somebody else's port there: see `unheard`
            sockets.append(bind(socket.AF_INET6, "::1", first.getsockname()[1]))
    return sockets


def unheard(host: str, sockets: Sequence[socket.socket]) -> str | None:
    """Say who holds [::1] where it is not among the sockets that were to listen there too; None where nobody does."""
    port = sockets[0].getsockname()[1]
    if len(sockets) > 1 or host not in ("127.0.0.1", "localhost"):
        return None
    try:
        bind(socket.AF_INET6, "::1", port).close()
    except PortTaken:
        there = [pid for ip, pid in listeners(port) if ip in V6_LOCAL]
        return None if os.getpid() in there else said_of(there[0] if there else None, port)
    except ConfigurationError:
        return None
    return None


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
    return next((named(pid) for _, pid in listeners(port) if pid), OTHER)


def listeners(port: int) -> list[tuple[str, int | None]]:
    """Return the addresses at which programs listen on a port, and who they are, as far as this user may know."""
    try:
        return [
            (connection.laddr[0], connection.pid)
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
        ]
    except (psutil.Error, OSError):
        return []


def named(pid: int) -> str:
    """Return how to speak of a process."""
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except (psutil.Error, OSError):
        return f"process {pid}"


def other_at_localhost(host: str, port: int, own_pid: int) -> str | None:
    """Say who else a tool reaches that says `localhost`; None where nobody is known to be there."""
    if host not in ("127.0.0.1", "localhost"):
        return None
    others = [pid for ip, pid in listeners(port) if ip in V6_LOCAL and pid != own_pid]
    return said_of(others[0], port) if others else None


def said_of(pid: int | None, port: int) -> str:
    """Say what it means that another program listens at [::1]."""
    return (
        f"{named(pid) if pid else OTHER} listens at [::1]:{port}: a tool that is pointed at `localhost` may reach it "
        f"in place of this proxy, and tell it its key. Point tools at http://127.0.0.1:{port}/v1, or end that program"
    )


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
