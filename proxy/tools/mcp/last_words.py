"""What a server writes to its error output: the last lines of it, bounded, without secrets."""

import asyncio
from collections import deque
from collections.abc import Iterable

from proxy.logs.redaction import escape, redact

KEPT_LINES = 50
TOLD_LINES = 4
LINE_LIMIT = 400  # characters
CHUNK_BYTES = 65_536
REST_S = 0.01  # after a full chunk: a server that floods it must not keep the loop busy


class LastWords:
    """Keep the last lines of one run of a server. Lives on the servers' loop."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._rest = b""

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read until the output ends."""
        while chunk := await stream.read(CHUNK_BYTES):
            self._take(chunk)
            if len(chunk) == CHUNK_BYTES:
                await asyncio.sleep(REST_S)
        self._keep(self._rest)
        self._rest = b""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the last lines, the oldest first."""
        return tuple(self._lines)

    def told(self) -> str:
        """Return the last few lines in one, "" where there are none."""
        return " | ".join(self.lines[-TOLD_LINES:])

    def _take(self, chunk: bytes) -> None:
        *whole, rest = (self._rest + chunk).split(b"\n")
        for line in whole[-KEPT_LINES:]:
            self._keep(line)
        self._rest = rest[: LINE_LIMIT * 8]

    def _keep(self, line: bytes) -> None:
        text = line[: LINE_LIMIT * 8].decode("utf-8", "replace").strip()
        if text:
            self._lines.append(escape(redact(text, self._secrets))[:LINE_LIMIT])
