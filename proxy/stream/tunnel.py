"""Two connections joined: the bytes of each go out on the other, and the end of one is the end of both."""

import asyncio
from collections.abc import Callable

from proxy.stream.frames import FrameBorder, close_frame

CLOSE_TIMEOUT_S = 1.0  # how long the two sides may take to answer at the program's end
LINGER_TIMEOUT_S = 5.0  # how long a side that is closed may take to read what was sent to it
STALLED_TIMEOUT_S = 60.0  # a side that takes nothing for so long is cut, and the other with it

RawConnection = tuple[asyncio.Transport, bytes]  # a connection that is free, and what has already arrived on it


class Tunnel:
    """Join two connections. Frames, pings and close codes pass untouched, for nobody looks into them."""

    def __init__(
        self,
        client: RawConnection,
        upstream: RawConnection,
        *,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        linger_timeout_s: float = LINGER_TIMEOUT_S,
        stalled_timeout_s: float = STALLED_TIMEOUT_S,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        self._close_timeout_s = close_timeout_s
        self._closing_s = linger_timeout_s
        self._cut_later: asyncio.TimerHandle | None = None
        self.client = Side(client[0], upstream[0], self.end, stalled_timeout_s)
        self.upstream = Side(upstream[0], client[0], self.end, stalled_timeout_s)
        for side, (transport, arrived) in ((self.client, client), (self.upstream, upstream)):
            transport.set_protocol(side)
            if arrived:
                side.data_received(arrived)
        for transport, _ in (client, upstream):
            if transport.is_closing():
                self.end()
            else:
                transport.resume_reading()

    async def over(self) -> None:
        """Wait until both connections are closed; being cancelled closes them, with a word where that can be said."""
        try:
            await asyncio.wait([self._over])
        except asyncio.CancelledError:
            if self._cut_later is None:
                self.leave()
                await asyncio.wait([self._over], timeout=self._close_timeout_s)
            raise
        finally:
            self.cut()

    def leave(self) -> None:
        """Tell each side that it was left, and wait for its answer; what it says beside that is not passed on."""
        self.client.leave(self.upstream.border, close_frame(masked=False), self.note_end)
        self.upstream.leave(self.client.border, close_frame(masked=True), self.note_end)

    def end(self) -> None:
        """Close both sides: what was sent may still be read, but not for ever. A second call does nothing more."""
        if self._cut_later is None:
            self._cut_later = asyncio.get_running_loop().call_later(self._closing_s, self.cut)
        self.client.transport.close()
        self.upstream.transport.close()
        self.note_end()

    def note_end(self) -> None:
        """Take note when both connections are closed."""
        if self.client.is_lost and self.upstream.is_lost:
            if self._cut_later is not None:
                self._cut_later.cancel()
            if not self._over.done():
                self._over.set_result(None)

    def cut(self) -> None:
        """Close both sides at once."""
        self.client.transport.abort()
        self.upstream.transport.abort()


class Side(asyncio.Protocol):
    """One of the two connections; the pace of each is that of the other."""

    def __init__(
        self, transport: asyncio.Transport, across: asyncio.Transport, end: Callable[[], None], stalled_timeout_s: float
    ) -> None:
        self.transport = transport
        self.border = FrameBorder()
        self.received_bytes = 0
        self.is_lost = False
        self._across = across
        self._pass_on: Callable[[bytes], None] = across.write
        self._end = end
        self._stalled_s = stalled_timeout_s
        self._look_later: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.received_bytes += len(data)
        self.border.follow(data)
        self._pass_on(data)

    def leave(self, sent: FrameBorder, word: bytes, note_end: Callable[[], None]) -> None:
        """Say a last word where none was said and no frame is half-way through; close once this side has said its own.

        `sent` has followed what this side was sent.
        """
        self._end, self._pass_on = note_end, self._look_for_answer
        if sent.is_here and not sent.is_closed:
            self.transport.write(word)
        if self.border.is_closed or not sent.is_here:
            self.transport.close()
        self.transport.resume_reading()

    def _look_for_answer(self, _: bytes) -> None:
        if self.border.is_closed:
            self.transport.close()

    def eof_received(self) -> None:
        """End the tunnel: a WebSocket has no half that lives on."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """End the tunnel, whatever broke this side."""
        self.is_lost = True
        self._stop_looking()
        self._end()

    def pause_writing(self) -> None:
        """Read no more from the other side while this one has much to take."""
        self._across.pause_reading()
        self._look_again()

    def resume_writing(self) -> None:
        """Read on."""
        self._stop_looking()
        self._across.resume_reading()

    def _look_again(self) -> None:
        waiting_bytes = self.transport.get_write_buffer_size()
        self._look_later = asyncio.get_running_loop().call_later(self._stalled_s, self._look, waiting_bytes)

    def _look(self, before_bytes: int) -> None:
        if self.transport.get_write_buffer_size() < before_bytes:
            self._look_again()
        else:
            self.transport.abort()

    def _stop_looking(self) -> None:
        if self._look_later is not None:
            self._look_later.cancel()
            self._look_later = None
