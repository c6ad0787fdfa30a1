"""What the proxy and the functions' process tell each other: JSON objects, each behind its length.

The proxy asks `load`, `call`, `drop` and `ping`; each answer has the `id` of its question. The end of the pipe is the
end of both.
"""

import json
import struct
from typing import Any

Message = dict[str, Any]

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 64 * 1024 * 1024  # the largest result the settings allow, in JSON's longest spelling


class NoFrame(Exception):
    """Raised for bytes that are no message."""


def frame(message: Message) -> bytes:
    """Return the bytes of a message; half of a character, as JSON may have it, is kept."""
    body = json.dumps(message).encode("ascii")
    return LENGTH.pack(len(body)) + body


def message_of(body: bytes) -> Message:
    """Return the message of a frame's body; raises NoFrame."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoFrame(str(error)) from error
    if not isinstance(message, dict):
        raise NoFrame("not an object")
    return message


class Frames:
    """Put the pieces that arrive together to messages."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def add(self, piece: bytes) -> list[Message]:
        """Return the messages that are whole now; raises NoFrame."""
        self._pieces += piece
        whole: list[Message] = []
        while len(self._pieces) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._pieces)
            if size > MAX_FRAME_BYTES:
                raise NoFrame(f"a message of {size} bytes")
            end = LENGTH.size + size
            if len(self._pieces) < end:
                break
            whole.append(message_of(bytes(self._pieces[LENGTH.size : end])))
            del self._pieces[:end]
        return whole
