"""What had arrived on a connection before it broke, and was not read: asyncio drops that when a write fails."""

import asyncio
from contextlib import suppress

PIECE_BYTES = 65_536


def unread(transport: asyncio.BaseTransport) -> bytes:
    """Return it. To be called from `connection_lost`, after which the socket is closed."""
    end = transport.get_extra_info("socket")
    if end is None:
        return b""
    pieces = []
    with suppress(OSError), end.dup() as socket:  # it would block, or is reset and empty
        socket.setblocking(False)
        while piece := socket.recv(PIECE_BYTES):
            pieces.append(piece)
    return b"".join(pieces)
