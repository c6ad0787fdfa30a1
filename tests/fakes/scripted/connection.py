"""One accepted connection: read a request, run its answer, again, until either side has had enough."""

import asyncio
import socket
import struct
import sys
import time
from dataclasses import replace

from fakes.scripted.book import Book
from fakes.scripted.reading import CONTINUE, Head, NotHttp, read_body, read_head
from fakes.scripted.recorded import Recorded
from fakes.scripted.wire import ConnectionOver, HungUp, Watch, Wire

LINGER_OFF = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
DISCARD_S = 1.0


class Connection:
    """Serve one connection on the loop of the scripted upstream."""

    def __init__(self, number: int, watch: Watch, writer: asyncio.StreamWriter, book: Book) -> None:
        self._number = number
        self._watch = watch
        self._reader = watch.reader
        self._writer = writer
        self._book = book
        self._close_on_next: ConnectionOver | None = None
        self._body_left = False
        self._dropped = False
        # drain() then means: the system has taken every byte.
        writer.transport.set_write_buffer_limits(high=0)
        # asyncio does this only for sockets that were made with the protocol named; without it each stream waits 40 ms.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def serve(self) -> None:
        """Answer requests until the connection is over, and leave nothing open."""
        try:
            await self._answer_requests()
        except ConnectionOver as over:
            await self._close_as_scripted(over)
        except NotHttp:
            self._book.not_http()
            self._writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        except HungUp:
            if not self._dropped:
                self._book.hung_up(self._watch.gone_at)
            self._writer.transport.abort()
        except BaseException:
            self._writer.transport.abort()
            raise
        finally:
            self._writer.close()
            await self._watch.lost.wait()

    def drop(self) -> None:
        """Reset the connection now; its end does not count as the client's."""
        self._dropped = True
        self._reset()

    async def _answer_requests(self) -> None:
        index = 0
        while (head := await read_head(self._reader)) is not None:
            at = time.monotonic()
            request = Recorded(head.method, head.target, head.headers, b"", at, self._number, index, complete=False)
            if not await self._answer(head, request):
                return
            index += 1

    async def _answer(self, head: Head, request: Recorded) -> bool:
        if self._close_on_next:
            await self._receive_body(head, request)
            raise self._close_on_next
        answer = self._book.choose(request.path)
        self._body_left = answer.before_body
        if answer.before_body:
            self._book.record(request)
        else:
            request = await self._receive_body(head, request)
        wire = Wire(self._writer, self._watch, request, self._book.sent)
        for step in answer.script(request):
            await step.run(wire)
        await wire.finish()
        self._close_on_next = wire.close_on_next
        return wire.can_be_reused and (not answer.before_body or await self._receive_late_body(head, request))

    async def _receive_body(self, head: Head, request: Recorded) -> Recorded:
        if head.expects_continue:
            self._writer.write(CONTINUE)
        body = bytearray()
        try:
            await read_body(self._reader, head, body)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._book.record(replace(request, body=bytes(body)))
            raise HungUp from error
        request = replace(request, body=bytes(body), complete=True)
        self._book.record(request)
        return request

    async def _receive_late_body(self, head: Head, request: Recorded) -> bool:
        if head.expects_continue:
            # Whether the body still comes is open after a final answer (RFC 9110, 10.1.1), so nobody may ask again.
            return False
        try:
            await self._receive_body(head, request)
        except HungUp:
            return False
        return True

    async def _close_as_scripted(self, over: ConnectionOver) -> None:
        if over.reset:
            self._reset()
        elif self._body_left and not self._watch.gone.is_set():
            # Closing over unread bytes sends RST, which can destroy the answer on its way to the client.
            self._writer.write_eof()
            await asyncio.wait([asyncio.create_task(self._discard())], timeout=DISCARD_S)

    async def _discard(self) -> None:
        while await self._reader.read(65536):
            pass

    def _reset(self) -> None:
        connection: socket.socket | None = self._writer.get_extra_info("socket")
        if connection is not None and not self._writer.is_closing():
            # A socket that may not linger is torn down with RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
        self._writer.transport.abort()
