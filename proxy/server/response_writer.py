"""The way an answer takes to its client: heads and chunks as they stand on the wire.

It keeps uvicorn's record of the request (`RequestResponseCycle`) and does without its messages: a stream is thousands
of writes.
"""

import socket
import struct
import sys

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.http.batching import BatchedTransport

Headers = list[tuple[str, str]]

WITHOUT_BODY = (204, 304)
RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # closing does not linger: it resets


class ResponseWriter:
    """Write one answer. Nothing here waits but `room`."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport: BatchedTransport = cycle.transport  # type: ignore[assignment]  # as our protocol made it
        self._chunked = False
        self._left: int | None = None  # bytes still to come, where the head said how many

    @property
    def has_begun(self) -> bool:
        """Tell whether the head has gone out."""
        return self._cycle.response_started

    @property
    def has_ended(self) -> bool:
        """Tell whether the answer is complete."""
        return self._cycle.response_complete

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Write a complete answer, in one piece."""
        head = self._begin(status, headers)
        self._write(head + self._framed(body) + (b"0\r\n\r\n" if self._chunked else b""))
        self._end()

    def start(self, status: int, headers: Headers) -> None:
        """Write the head of an answer that is yet to come; raises ValueError for headers that are none."""
        self._write(self._begin(status, headers))

    def write(self, data: bytes) -> None:
        """Write some of the body."""
        if framed := self._framed(data):
            self._write(framed)

    def finish(self) -> None:
        """End the answer, complete; cut it where the head promised more."""
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._end()

    def abort(self) -> None:
        """Break the answer off, so that nobody takes it for complete."""
        if self.has_begun and not self._chunked and self._left is None:  # a proper end would be that of the answer
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.release()  # what was held came before the break
        self._transport.abort()

    async def drain(self) -> None:
        """Return when the client has taken enough of what was written."""
        flow = self._cycle.flow
        if flow.write_paused and not self._cycle.disconnected:
            await flow.drain()

    def _begin(self, status: int, headers: Headers) -> bytes:
        cycle, lines = self._cycle, []
        for name, value in headers:
            name = name.lower()
            if name == "content-length":
                self._left = int(value)
            elif name == "connection":  # an error of ours asks for the end; that is said below, once
                cycle.keep_alive = False
                continue
            lines.append(f"{name}: {value}\r\n")
        if cycle.scope["method"] == "HEAD" or status in WITHOUT_BODY:
            self._left = 0
        elif self._left is None and cycle.scope["http_version"] != "1.0":  # where the connection's end is the answer's
            self._chunked = True
            lines.append("transfer-encoding: chunked\r\n")
        if not cycle.keep_alive:
            lines.append("connection: close\r\n")
        always = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])  # uvicorn's: the date
        head = STATUS_LINE[status] + always + encoded(lines) + b"\r\n"
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        return head

    def _framed(self, data: bytes) -> bytes:
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def _write(self, data: bytes) -> None:
        if not self._cycle.disconnected:
            self._transport.write(data)

    def _end(self) -> None:
        cycle = self._cycle
        if cycle.disconnected:
            return
        if self._left:
            self.abort()
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()


def encoded(lines: list[str]) -> bytes:
    """Return header lines as they stand on the wire; raises ValueError where one would pass for two."""
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise ValueError("a header holds a line break")
    return text.encode("latin-1")
