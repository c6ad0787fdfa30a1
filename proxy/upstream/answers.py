"""The upstream's answers: still on the wire, or read whole."""

import asyncio

import aiohttp

from proxy.errors import UpstreamFailure
from proxy.upstream.errors import reading
from proxy.upstream.messages import Headers, UpstreamAnswer

ERROR_BODY_LIMIT_BYTES = 1_048_576


class WireAnswer:
    """An answer that is still arriving."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self.status = response.status
        protocol = response.connection.protocol if response.connection is not None else None
        self._closed = protocol.closed if protocol is not None else None
        if self._closed is not None:
            self._closed.add_done_callback(self._break_off)
        # Decoding has undone an encoding that was never asked for; what describes it no longer holds.
        stale = {b"content-encoding", b"content-length"} if "content-encoding" in response.headers else ()
        self.headers: Headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in response.raw_headers
            if name.lower() not in stale
        ]

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure."""
        with reading:
            return await self._content.readany()

    def close(self) -> None:
        """Drop the connection, unless the answer is complete and it has gone back to the pool."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._break_off)
        self._response.close()

    def _break_off(self, closed: "asyncio.Future[None]") -> None:  # noqa: ARG002  a callback's signature
        """Wake the reader of an answer whose connection is gone: after a broken chunk the client library does not."""
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError("the connection ended within the answer"))


class ReadAnswer:
    """An answer that was read whole and has let go of the upstream."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._left = body

    @classmethod
    async def of(cls, answer: UpstreamAnswer) -> "ReadAnswer":
        """Read a refusal whole; one that breaks off or is endless is kept as far as it came."""
        pieces: list[bytes] = []
        try:
            while sum(map(len, pieces)) < ERROR_BODY_LIMIT_BYTES and (chunk := await answer.next_chunk()):
                pieces.append(chunk)
        except UpstreamFailure:
            pass  # the status is what counts; the caller checks whether the rest is JSON
        finally:
            answer.close()
        headers = [(name, value) for name, value in answer.headers if name != "content-length"]
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
