"""One connection to an upstream: a request goes out on it, an answer comes back, and then perhaps another."""

import asyncio
import socket
import time
from collections.abc import AsyncIterable, Callable
from contextlib import suppress

from proxy.errors.upstream import UpstreamTimeout, UpstreamTruncated
from proxy.http.batching import BatchedTransport
from proxy.http.response_reader import MalformedResponse, ResponseReader
from proxy.upstream.open_socket import OpenSocket
from proxy.upstream.tls import TlsTransport
from proxy.upstream.unread import unread
from proxy.upstream.wire import WireAnswer
from proxy.upstream.wire_request import PIECE_BYTES, BrokenOff, NotHttp, WireRequest, in_pieces

CLOCK_S = 0.001  # a timer may fire this much early
READ_AHEAD_BYTES = 131_072  # of a body nobody has taken yet; then the upstream waits
MAX_INTERIM_TIMEOUTS = 5  # an upstream that only says that it works is waited for so many times longer


class UpstreamConnection(asyncio.Protocol):
    """A connection of the pool.

    `done` is told of the end of each answer, and whether another request may follow; `lost` of the end of all.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        silence_s: float,
        done: Callable[["UpstreamConnection", bool], None],
        lost: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.raw_transport = transport
        self._transport = BatchedTransport(transport)
        self._silence_s = silence_s
        self._done = done
        self._lost = lost
        self.idle_at = self.idle_wall_at = 0.0  # since when it is not used, on both clocks
        self._is_used = False  # it has carried a request
        self._reader: ResponseReader | None = None  # of the answer under way
        self._answer: WireAnswer | None = None
        self._head_here: asyncio.Future[WireAnswer] | None = None
        self._upload: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None  # made while the system takes no more
        self._is_behind = False  # who takes the body does not keep up
        self._asked_at: float | None = None  # since when the upstream is to answer
        self._heard_at = 0.0  # when it last made progress
        self._look: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        transport.resume_reading()

    @property
    def is_open(self) -> bool:
        """Tell whether another request may be sent."""
        return self._reader is None and not self._transport.is_closing()

    async def exchange(self, request: WireRequest) -> WireAnswer:
        """Send a request and return the answer once its head is here; raises BrokenOff, NotHttp, UpstreamTimeout.

        What the body of the request raises while it arrives is raised too.
        """
        if self._transport.is_closing():
            raise BrokenOff(is_stale=self._is_used)
        reader = self._reader = ResponseReader(to_head=request.to_head)
        was_used, self._is_used = self._is_used, True
        head_here: asyncio.Future[WireAnswer] = self._loop.create_future()
        self._head_here = head_here
        if isinstance(request.body, bytes) and len(request.body) <= PIECE_BYTES:
            self._transport.write(request.head + request.body)
            self._start_clock()
        else:
            self._upload = self._loop.create_task(self._send(request.head, request.body, is_chunked=request.is_chunked))
        try:
            return await head_here
        except BrokenOff as error:
            error.is_stale = was_used and not reader.has_begun
            raise
        except BaseException:
            if self._reader is reader:  # else it is free by now, and may carry another request
                self.abort()
            raise

    def switch(self) -> "OpenSocket | None":
        """Return the connection as one that has left HTTP, None where it has not."""
        reader = self._reader
        if reader is None or not reader.is_upgrade:
            return None
        return OpenSocket(self, self._transport, reader)

    def abort(self) -> None:
        """Close at once; what is still to be sent is lost."""
        self._stop_upload()
        self._asked_at = None
        self._transport.abort()

    def leave(self) -> None:
        """Take note that somebody else is told of this connection's end."""
        self._reader = None
        self._end()

    def note_taken(self) -> None:
        """Read on: what was read has been taken."""
        if self._is_behind:
            self._is_behind = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    # --- the request on its way up ------------------------------------------------------------------------------------

    async def _send(self, head: bytes, body: bytes | AsyncIterable[bytes], *, is_chunked: bool) -> None:
        """Send a body that is large, or still arriving; its failure is that of the request."""
        forget_unheard(self._transport)  # the upstream may take its time to read
        try:
            self._transport.write(head)
            async for piece in in_pieces(body) if isinstance(body, bytes) else body:
                if piece:
                    await self._wait_for_room()
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked:
                self._transport.write(b"0\r\n\r\n")
            await self._wait_for_room()
        except Exception as error:  # noqa: BLE001  handed to who waits for the answer
            self._upload = None
            if self._head_here is not None and not self._head_here.done():
                self._head_here.set_exception(error)
            else:
                self.abort()
            return
        self._upload = None
        if self._reader is None:
            return
        if self._reader.is_complete:
            self._finish()
        else:
            self._start_clock()

    async def _wait_for_room(self) -> None:
        """Let what has come be read first: an upstream that answers early may close, and a write would then fail."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self._room is not None:
            await self._room

    def pause_writing(self) -> None:
        """Send no more for now."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Send on."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _stop_upload(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    # --- the answer on its way down -----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read on."""
        reader = self._reader
        if reader is None:  # more than the last answer has come
            self._transport.abort()
            return
        try:
            has_grown = reader.feed(data)
        except MalformedResponse as error:
            self._break_off(NotHttp(str(error)), UpstreamTruncated(f"it is broken: {error}"))
            return
        if has_grown:
            self._heard_at = self._loop.time()
        elif not reader.is_head_complete and self._asked_at is not None:
            now = self._loop.time()
            if now < self._asked_at + (MAX_INTERIM_TIMEOUTS - 1) * self._silence_s:
                self._heard_at = now
        if reader.is_head_complete:
            self._go_on(reader)

    def _go_on(self, reader: ResponseReader) -> None:
        """Tell who waits for the answer's head, or for more of its body."""
        answer = self._answer
        if answer is None:
            answer = self._answer = WireAnswer(self, reader)
            if self._upload is not None:
                self._answer_early(reader)
            head_here, self._head_here = self._head_here, None
            if head_here is not None and not head_here.done():
                head_here.set_result(answer)
        if reader.is_complete and not reader.is_upgrade:
            self._finish()
        elif reader.is_upgrade:
            self._asked_at = None
            self._transport.pause_reading()
        elif reader.held_bytes > READ_AHEAD_BYTES:
            self._is_behind = True
            self._transport.pause_reading()
        answer.wake()

    def _answer_early(self, reader: ResponseReader) -> None:
        """Stop sending a body that nobody wants any more."""
        if reader.status >= 300 or not reader.is_reusable:
            self._stop_upload()
            reader.is_reusable = False
        self._start_clock()

    def _finish(self) -> None:
        """Take note that the answer is complete: the connection is free, or closed."""
        reader = self._reader
        if reader is None or (self._upload is not None and reader.is_reusable):
            return  # all but the upload is over
        self._reader = self._answer = self._asked_at = None
        if self._is_behind:
            self._is_behind = False
            self._transport.resume_reading()
        self.idle_at, self.idle_wall_at = self._loop.time(), time.time()
        self._done(self, reader.is_reusable and not self._transport.is_closing())

    def eof_received(self) -> None:
        """Take note that the upstream sends nothing more."""
        reader = self._reader
        if reader is not None and not reader.is_upgrade and reader.feed_eof():
            self._go_on(reader)
        elif reader is None or not reader.is_upgrade:
            self._break_off(self._early_end(), UpstreamTruncated("its connection ended within it"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that the connection is gone, once they have what came before."""
        is_own_socket = not isinstance(self.raw_transport, TlsTransport)  # which gives out what came before itself
        if exc is not None and self._reader is not None and is_own_socket and (rest := unread(self.raw_transport)):
            self.data_received(rest)
        how = f"its connection ended within it{f' ({exc})' if exc else ''}"
        self._break_off(self._early_end(), UpstreamTruncated(how))
        self.resume_writing()
        self._end()

    def _early_end(self) -> BrokenOff:
        return BrokenOff("within its head" if self._reader is not None and self._reader.has_begun else "")

    def _break_off(self, early: Exception, late: Exception) -> None:
        """End the answer under way: before its head is told in one way, after that in another."""
        reader, self._reader = self._reader, None
        answer, self._answer = self._answer, None
        if reader is not None:
            if answer is None and reader.is_head_complete and reader.pieces:  # both came in one packet
                answer = WireAnswer(self, reader)
            head_here, self._head_here = self._head_here, None
            if head_here is not None and not head_here.done():
                if answer is None:
                    head_here.set_exception(early)
                else:
                    head_here.set_result(answer)
            if answer is not None:
                answer.fail(late)
        self.abort()

    def _end(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self._lost(self)

    # --- silence ------------------------------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        """Count from now how long the upstream makes no progress: one timer, that looks at a time."""
        self._asked_at = self._heard_at = self._loop.time()
        if self._look is None and not self._transport.is_closing():
            self._look = self._loop.call_later(self._silence_s, self._look_at_time)

    def _look_at_time(self) -> None:
        self._look = None
        if self._asked_at is None:
            return
        left_s = self._silence_s if self._is_behind else self._heard_at + self._silence_s - self._loop.time()
        if left_s > CLOCK_S:
            self._look = self._loop.call_later(left_s, self._look_at_time)
        else:
            self._break_off(UpstreamTimeout(), UpstreamTimeout())


def forget_unheard(transport: BatchedTransport) -> None:
    """Let a peer that lives leave what it is sent unread for as long as it likes."""
    end = transport.get_extra_info("socket")
    if end is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):  # it is closed by now, which is told elsewhere
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
