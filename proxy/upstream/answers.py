"""The upstream's answers: still on the wire, or read whole."""

from collections.abc import Callable, Sequence

import aiohttp

from proxy.errors.upstream import UpstreamFailure
from proxy.upstream.errors import reading
from proxy.upstream.messages import Headers, UpstreamAnswer

ERROR_BODY_LIMIT_BYTES = 1_048_576
STALE = frozenset({"content-encoding", "content-length"})


class WireAnswer:
    """An answer that is still arriving."""

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        content: aiohttp.StreamReader,
        close: Callable[[], object],
    ) -> None:
        self.status = status
        self._content = content
        self._close = close
        lowered = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        # Decoding has undone an encoding that was never asked for; what describes it no longer holds.
        encoded = any(name == "content-encoding" for name, _ in lowered)
        self.headers: Headers = [pair for pair in lowered if pair[0] not in STALE] if encoded else lowered

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> "WireAnswer":
        """Take what the client's session returned."""
        return cls(response.status, response.raw_headers, response.content, response.close)

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure once all is told before it."""
        content = self._content
        # The client itself would drop what it holds when an answer breaks off, and who reads slowly never sees it.
        if content.exception() is not None and (rest := content._read_nowait(-1)):
            return rest
        with reading:
            return await content.readany()

    def close(self) -> None:
        """Drop the connection, unless the answer is complete and it has gone back to the pool."""
        self._close()


class ReadAnswer:
    """An answer that was read whole and has let go of the upstream."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._left = body

    @classmethod
    async def of(cls, answer: UpstreamAnswer, *, to_head: bool) -> "ReadAnswer":
        """Read a refusal whole; one that breaks off or is endless is kept as far as it came, and HEAD's has no body."""
        pieces: list[bytes] = []
        try:
            while sum(map(len, pieces)) < ERROR_BODY_LIMIT_BYTES and (chunk := await answer.next_chunk()):
                pieces.append(chunk)
        except UpstreamFailure:
            pass  # the status is what counts; the caller checks whether the rest is JSON
        finally:
            answer.close()
        headers = [(name, value) for name, value in answer.headers if name != "content-length" or to_head]
        return cls(answer.status, headers, b"".join(pieces))

    def final(self) -> "ReadAnswer":
        """Return it with the word that no further try is worth it: an SDK in front would multiply our tries."""
        headers = [(name, value) for name, value in self.headers if name != "x-should-retry"]
        return ReadAnswer(self.status, [*headers, ("x-should-retry", "false")], self.body)

    async def next_chunk(self) -> bytes:
        """Return the body once, then b""."""
        chunk, self._left = self._left, b""
        return chunk

    def close(self) -> None:
        """Do nothing: the upstream is already gone."""
