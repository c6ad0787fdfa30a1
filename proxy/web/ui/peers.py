"""Which user of this computer holds the other end of a connection, where the system tells: Linux."""

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
    """Tell whether somebody else than this user holds the client's end; False where the system does not tell.

    A link to the page stands in the browser's command line, which everybody on the computer may read. An end that
    nobody holds any more is somebody else's: whose it was is not to be known, and who has left waits for no answer. So
    is every end while the tables cannot be read for want of files.
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
    """Return the user who holds the client's end of a connection, None where nobody does.

    Raises OSError where the system's tables cannot be read.
    """
    rows = list(written(client, client_port, local, local_port))
    for _ in range(READINGS if rows else 0):
        held = [user for table, *ends in rows for user in holders(table, ends)]
        if held:
            return held[0]
    return None


def holders(table: Path, ends: list[str]) -> Iterator[int]:
    """Yield the user of each living socket with these ends; raises OSError."""
    if table == TABLES[6] and not table.exists():  # a system without IPv6
        return
    for columns in map(str.split, table.read_text(encoding="ascii").splitlines()):
        if columns[1:3] == ends and columns[9] != NOBODYS:
            yield int(columns[7])


def written(client: str, client_port: int, local: str, local_port: int) -> Iterator[tuple[Path, str, str]]:
    """Yield the tables a connection may stand in, and its ends as they stand there.

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
    """Return an address as a kernel's table has it (words of 32 bits in the machine's own order), None for no form."""
    plain = address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
    if version < plain.version:
        return None
    packed = plain.packed if version == plain.version else IPv6Address(f"::ffff:{plain}").packed
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
