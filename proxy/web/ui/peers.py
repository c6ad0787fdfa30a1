"""Find the user of this computer who holds the other end of a connection. Linux only."""

import os
import struct
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

TABLES = {4: Path("/proc/net/tcp"), 6: Path("/proc/net/tcp6")}
ROOT = 0  # may read every file; and it holds what a desktop outside of a virtual machine (WSL) asks
READINGS = 3  # the tables are read while they change, and may lack a row once
NOBODYS = "0"  # the inode of a socket that no process has open any more; the system says that root holds it

Address = IPv4Address | IPv6Address


def is_another_user(client: str, client_port: int, local: str, local_port: int) -> bool:
    """Return whether another user holds the client's end; False on systems that do not tell.

    A link to the page stands in the browser's command line, which everybody on the computer may read. An end that
    nobody holds any more counts as another user's, as its user is unknown and nobody waits for the answer. So does
    every end while the tables cannot be read because the process is out of file descriptors.
    """
    if sys.platform != "linux":
        return False
    try:
        user = user_of(client, client_port, local, local_port)
    except (FileNotFoundError, PermissionError):  # a system whose tables are not there for us
        return False
    except OSError:  # no file can be opened for now: others can bring that about, by holding many connections
        return True
    return user not in (ROOT, os.geteuid())


def user_of(client: str, client_port: int, local: str, local_port: int) -> int | None:
    """Return the user id that holds the client's end of a connection, None if nobody does.

    Raises OSError if the system's tables cannot be read.
    """
    rows = list(written(client, client_port, local, local_port))
    for _ in range(READINGS if rows else 0):
        held = [user for table, *ends in rows for user in holders(table, ends)]
        if held:
            return held[0]
    return None


def holders(table: Path, ends: list[str]) -> Iterator[int]:
    """Yield the user id of each open socket with these ends; raises OSError."""
    if table == TABLES[6] and not table.exists():  # a system without IPv6
        return
    for columns in map(str.split, table.read_text(encoding="ascii").splitlines()):
        if columns[1:3] == ends and columns[9] != NOBODYS:
            yield int(columns[7])


def written(client: str, client_port: int, local: str, local_port: int) -> Iterator[tuple[Path, str, str]]:
    """Yield the tables that may list a connection, and its ends in their format.

    A program may speak IPv4 through an IPv6 socket: its row is in the other table.
    """
    try:
        ends = ip_address(client), ip_address(local)
    except ValueError:  # what is no address has no connection
        return
    for version, table in TABLES.items():
        near, far = form_of(ends[0], version), form_of(ends[1], version)
        if near is not None and far is not None:
            yield table, f"{near}:{client_port:04X}", f"{far}:{local_port:04X}"


def form_of(address: Address, version: int) -> str | None:
    """Return an address in the kernel's format (32-bit words in native byte order), None if there is none."""
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    if version < plain.version:
        return None
    packed = plain.packed if version == plain.version else IPv6Address(f"::ffff:{plain}").packed
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
