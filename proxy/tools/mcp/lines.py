"""A server's standard output as messages: one a line; what is no message is counted, and told in one short line."""

import json
import logging
import re
import time
from collections.abc import Iterator

from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter

MAX_LINE_BYTES = 16_777_216  # a large screenshot has a few
END_BYTES = 512  # of a line that is too long: its id stands in its head or in its tail
BURST_S = 60.0
ID = re.compile(rb'"id"\s*:\s*(\d{1,18}|"[^"\\]{1,100}")')

log = logging.getLogger(__name__)


class Lines:
    """Put chunks together to lines, of which none grows beyond MAX_LINE_BYTES."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._head = b""  # of a line that is too long

    def add(self, chunk: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield each line that is complete, and whether it was too long: then only its ends are left."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._append(end)
            yield (self._head + b" " + bytes(self._line), True) if self._head else (bytes(self._line), False)
            self._line, self._head = bytearray(), b""
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        self._line += piece
        if self._head:
            del self._line[:-END_BYTES]
        elif len(self._line) > MAX_LINE_BYTES:
            self._head = bytes(self._line[:END_BYTES])
            del self._line[:-END_BYTES]


def message_in(line: bytes, *, is_cut: bool) -> JSONRPCMessage | None:
    """Return the message of a line, None where it is none; an answer that cannot be read is an error to its call."""
    line = line.strip()
    if not line.startswith(b"{"):
        return None
    if is_cut:
        return unreadable(line, f"The answer is larger than {MAX_LINE_BYTES // 1_048_576} MB.")
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        pass
    try:  # half of a character, of which nothing else is wrong
        whole = json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
        return jsonrpc_message_adapter.validate_json(whole, by_name=False)
    except (ValueError, RecursionError):
        return unreadable(line, "The answer is not a message of the protocol.")


def unreadable(line: bytes, why: str) -> JSONRPCError | None:
    """Return an error in an answer's place, None where the line is no answer to anything."""
    ends = line[:END_BYTES] + b" " + line[-END_BYTES:]
    found = ID.search(ends)
    if found is None or b'"jsonrpc"' not in ends or b'"method"' in line[:END_BYTES]:
        return None
    try:
        asked: int | str = json.loads(found[1])
    except ValueError:  # no text: a control character, or half of one
        return None
    return JSONRPCError(jsonrpc="2.0", id=asked, error=ErrorData(code=INTERNAL_ERROR, message=why))


class Noise:
    """Count the lines that are no messages; a burst of them is one line in the log, without a word of theirs."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._untold = 0
        self._told_at: float | None = None

    def note(self) -> None:
        """Take note of a line."""
        self._untold += 1
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > BURST_S:
            log.warning(
                "the MCP server %s wrote to its output what is no message (%d lines); it is passed over",
                self._server,
                self._untold,
            )
            self._told_at, self._untold = now, 0
