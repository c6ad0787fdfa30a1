"""Which user of this computer is at the other end of a connection, where the system tells: Linux."""

import os
import socket
import struct
import sys
from pathlib import Path

TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
ROOT = 0  # also what the system says of a connection that its process has closed


def is_another_user(client: str, client_port: int, local: str, local_port: int) -> bool:
    """Tell whether another user than ours holds the client's end; False where that cannot be known.

    A link to the page stands in the browser's command line, which everybody on the computer may read.
    """
    if sys.platform != "linux":
        return False
    user = user_of(client, client_port, local, local_port)
    return user not in (None, ROOT, os.geteuid())


def user_of(client: str, client_port: int, local: str, local_port: int) -> int | None:
    """Return the user who holds the client's end of a connection, None where the system does not say."""
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    try:
        wanted = [written(family, client, client_port), written(family, local, local_port)]
        rows = TABLES[family].read_text(encoding="ascii").splitlines()
    except OSError:  # no such address either
        return None
    for columns in map(str.split, rows):
        if columns[1:3] == wanted:
            return int(columns[7])
    return None


def written(family: socket.AddressFamily, host: str, port: int) -> str:
    """Return an address as the kernel's table has it: words of 32 bits in the machine's own order."""
    packed = socket.inet_pton(family, host)
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed)) + f":{port:04X}"
