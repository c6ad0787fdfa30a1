"""An answer that is still arriving, as every room reads it."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.errors.upstream import UpstreamTruncated
from proxy.http.answer import Answer
from proxy.http.decoding import Decoder, MalformedEncoding
from proxy.http.headers import Headers
from proxy.http.response_reader import RawHeaders, ResponseReader

STALE = ("content-encoding", "content-length")
TURN_BYTES = 65_536  # given out at one go: a small body may unfold into millions of events, and others wait meanwhile


class Connection(Protocol):
    """What the answer asks of its connection."""

    def note_taken(self) -> None:
        """Read on: what was read has been taken."""

    def abort(self) -> None:
        """Close at once."""


class WireAnswer(Answer):
    """An answer that is still arriving."""

    def __init__(self, connection: Connection, reader: ResponseReader) -> None:
        self._connection: Connection | None = connection  # None: nothing more comes of it
        self._reader = reader
        self._failure: Exception | None = None
        self._woken: asyncio.Future[None] | None = None
        self._decoder: Decoder | None = None
        self._given_bytes = 0  # since the loop last had a turn
        self.on_end: Callable[[], None] | None = None  # called once, when nothing more is to come
        self.status = reader.status
        self.headers = headers_of(reader.headers)
        encodings = []
        for name, value in self.headers:
            if name == "content-type" and not self.content_type:  # of several the first, as everywhere
                self.content_type = value
            elif name == "content-length" and value.isascii() and value.isdigit():
                self.content_length = int(value)
            elif name == "content-encoding":
                encodings.append(value)
        if encodings and (decoder := Decoder.of(",".join(encodings))) is not None:
            self._decoder = decoder  # what describes the body no longer holds
            self.headers, self.content_length = self.headers.without(*STALE), None

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure once all is told before it."""
        if self._given_bytes >= TURN_BYTES:
            self._given_bytes = 0
            await asyncio.sleep(0)
        reader = self._reader
        while True:
            if reader.pieces:
                if reader.is_complete and self._decoder is None and reader.held_bytes <= TURN_BYTES:
                    chunk = b"".join(reader.pieces)  # all of it is here: there is nothing to read on for
                    reader.pieces.clear()
                    return chunk
                chunk = reader.take()
                if self._decoder is not None:
                    chunk = self._decoded(chunk)
                elif not reader.pieces:
                    self._note_taken()
                if chunk:
                    self._given_bytes += len(chunk)
                    return chunk
            elif self._decoder is not None and (chunk := self._decoded(b"")):
                self._given_bytes += len(chunk)
                return chunk
            elif self._failure is not None:
                raise self._failure
            elif reader.is_complete:
                self._check_end()
                self._note_end()
                return b""
            else:
                self._note_taken()
                self._given_bytes = 0
                self._woken = asyncio.get_running_loop().create_future()
                try:
                    await self._woken
                finally:
                    self._woken = None

    def wake(self) -> None:
        """Take note that something has come, or will not."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def fail(self, failure: Exception) -> None:
        """Take note that nothing more comes, though the answer is not complete."""
        if not self._reader.is_complete:
            self._failure = failure
            self.wake()

    def close(self) -> None:
        """Drop the connection, unless the answer is complete and it has gone back to the pool."""
        if self._connection is not None and (not self._reader.is_complete or self._reader.is_upgrade):
            self._connection.abort()
        self._note_end()

    def _decoded(self, data: bytes) -> bytes:
        assert self._decoder is not None  # noqa: S101  who calls it has looked
        try:
            return self._decoder.feed(data)
        except MalformedEncoding as error:
            self.close()
            raise UpstreamTruncated(f"its encoding is broken: {error}") from error

    def _check_end(self) -> None:
        if self._decoder is not None:
            try:
                self._decoder.end()
            except MalformedEncoding as error:
                self._note_end()
                raise UpstreamTruncated(f"its encoding is broken: {error}") from error

    def _note_taken(self) -> None:
        if not self._reader.is_complete and self._connection is not None:
            self._connection.note_taken()

    def _note_end(self) -> None:
        self._connection = None
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end()


def headers_of(raw: RawHeaders) -> Headers:
    """Return headers as they stood on the wire, bytes as Latin-1."""
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])
