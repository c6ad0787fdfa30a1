"""uvicorn's HTTP protocol, with what it lacks: the client's leaving ends its request, limits, refusals are JSON."""

import asyncio
from collections import deque
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import (
    HeadTooLarge,
    MalformedRequest,
    NotANetworkProxy,
    RequestRefused,
    TargetTooLong,
    TooManyConnections,
)
from proxy.http.batching import BatchedTransport
from proxy.server.bridge import CONNECTION, NoteRefusal, RawConnection, RawHeaders
from proxy.server.environ import Scope
from proxy.server.limits import Limits
from proxy.server.response_writer import ResponseWriter
from proxy.server.sizes import MAX_HEAD_BYTES, MAX_TARGET_BYTES, BodyFraming, check_head
from proxy.server.upgrade import Upgrade, asks_for_websocket

MAX_UNREAD_BYTES = 262_144  # a long chat is shorter: to stop reading and begin again costs more than to read on
CYCLE = "proxy.cycle"  # scope key of uvicorn's record of the request
TRAILERS: Any = deque(maxlen=0)  # what stands behind a body is no header: it is counted, and kept nowhere


class ClientConnection(HttpToolsProtocol):
    """One client's connection, and the tasks that serve its requests."""

    def __init__(self, limits: Limits, note_refusal: NoteRefusal, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._note_refusal = note_refusal
        self._tasks: set[asyncio.Task[None]] = set()  # those among all the server's (`tasks`) that serve this client
        self.url = b""
        self.fed = 0  # bytes received
        self._settled = 0  # those among them that came before the head that is under way
        self.framing = BodyFraming()
        self._held_refusal: ProxyError | None = None  # of a request whose turn to be answered has not come
        self.is_stalled = False
        self._upgrade: Upgrade | None = None  # the handshake of a WebSocket, once one has come

    @property
    def is_behind(self) -> bool:
        """Tell whether the next write would have to wait for the client to read."""
        return self.flow.write_paused

    @property
    def is_gone(self) -> bool:
        """Tell whether the client has left."""
        return self.transport.is_closing()

    def abort(self) -> None:
        """Cut the connection at once."""
        self.transport.abort()

    def end_with_the_answer(self, scope: Scope) -> None:
        """Take no request after this one."""
        scope[CYCLE].keep_alive = False

    def listen(self) -> None:
        """Read on once the body is there: only a connection that is read shows that the client has left."""
        self.flow.resume_reading()

    def response_writer(self, scope: Scope) -> ResponseWriter:
        """Return the way to the client for the answer to a request."""
        return ResponseWriter(scope[CYCLE])

    def arrived(self, scope: Scope) -> bytes | None:
        """Return the body of a request, once, where all of it is there; else None."""
        cycle = scope[CYCLE]
        if cycle.more_body or cycle.disconnected:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        self.listen()
        return body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already."""
        super().connection_made(BatchedTransport(transport))  # type: ignore[arg-type]  # it is one in all that matters
        if len(self.connections) > self._limits.connections:
            self.refuse(TooManyConnections())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Serve a request, until the client leaves."""
        task = self.loop.create_task(cycle.run_asgi(app))
        for tasks in (self.tasks, self._tasks):
            tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        self._tasks.discard(task)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what the client no longer waits for."""
        super().connection_lost(exc)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and refuse what it cannot read and heads that are too large."""
        self.fed += len(data)
        if self._upgrade is not None:
            self._upgrade.keep(data)
        elif self._held_refusal is None:  # behind what was refused, nothing is read
            try:
                self._parse(data)
                self.framing.add_packet(len(data))
                self._check_head()
            except RequestRefused as error:
                self.refuse(error)
            except HttpParserError as error:
                cause = error.__context__  # what a callback of ours raised, where it was one
                self.refuse(cause if isinstance(cause, RequestRefused) else MalformedRequest("it cannot be read"))

    def _check_head(self) -> None:
        """Refuse a head that is under way and too large already; raises TargetTooLong or HeadTooLarge."""
        if self.cycle is not None and self.cycle.scope is self.scope:
            self._settled = self.fed
        elif len(self.url) > MAX_TARGET_BYTES:
            raise TargetTooLong
        elif self.fed - self._settled > MAX_HEAD_BYTES:
            raise HeadTooLarge

    def _parse(self, data: bytes) -> None:
        """Parse; an offer of another protocol (Java offers HTTP/2 with its first request) is passed over.

        The parser stops at an offer, and cannot be told to go on: another begins with the same head without it. Each
        round takes bytes, or the request is refused; raises MalformedRequest.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                taken_bytes = offer.args[0]
            else:
                return
            data = data[taken_bytes:]
            if self._upgrade is not None:
                self._upgrade.keep(data)
                return
            if not taken_bytes or not self._is_read_without_offer():
                raise MalformedRequest("it leaves HTTP/1.1 for another protocol")

    def _is_read_without_offer(self) -> bool:
        """Go on with a new parser that has read the same head without its offer; False where that stops it too."""
        head = self._head_without_offer()
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        try:
            self.parser.feed_data(head)
        except HttpParserUpgrade:
            return False
        return True

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the blanks behind its value, which the parser leaves there."""
        name, value = name.lower(), value.rstrip(b" \t")
        if self.headers is TRAILERS:
            self.framing.add_trailer(name, value)
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin a request; this is no network proxy, so the target must be a path."""
        if self.parser.get_method() == b"CONNECT":  # whatever follows is not HTTP: the parser would stop here
            raise NotANetworkProxy(self._what_this_is())
        check_head(self.url, self.headers)
        if not self.url.startswith(b"/"):
            why = f". This is not a network proxy: {self._what_this_is()}" if b"://" in self.url else ""
            raise MalformedRequest(f"the request target must begin with a slash{why}")
        upgrades = self.parser.should_upgrade()
        if upgrades and not asks_for_websocket(self.headers):
            return  # it begins once the offer is out of its head
        self.scope[CONNECTION] = self  # type: ignore[literal-required]  # ASGI allows more keys
        super().on_headers_complete()
        self.scope[CYCLE] = self.cycle  # type: ignore[literal-required]  # as above
        self.headers = TRAILERS
        self.framing.begin()
        if upgrades:
            self._upgrade = Upgrade(self)

    def _what_this_is(self) -> str:
        host, port = self.server or ("127.0.0.1", 8000)
        name = f"[{host}]" if ":" in host else host
        return f"it is an OpenAI-compatible API at http://{name}:{port}/v1"

    def on_chunk_header(self) -> None:
        """Count a chunk of the body."""
        self.framing.add_chunk()

    def switch(self, headers: RawHeaders) -> RawConnection:
        """Answer 101 to the handshake and give the connection away."""
        assert self._upgrade is not None  # noqa: S101  the app asks for it where a handshake came
        for task in self._tasks:  # the one that serves it lives as long as the WebSocket, and so long it counts
            task.add_done_callback(lambda _: self.connections.discard(self))
        return self._upgrade.switch(headers)

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body for its reader, who is not to be left far behind."""
        self.framing.add_body(len(body))
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > MAX_UNREAD_BYTES:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Take note of a body's end; the head of an offer has none."""
        self.framing.end()
        self._settled = self.fed  # what follows in the same packet is counted when its head is complete
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin the request that waits behind. How long none may come, the watch sees to: no timer for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._held_refusal is not None:
            self.refuse(self._held_refusal)

    def stall(self) -> None:
        """Tell who reads the body that no more of it comes."""
        self.is_stalled = True
        self.cycle.message_event.set()

    def refuse(self, error: ProxyError) -> None:
        """Answer with an error in the API's words and close, once every earlier request has its answer.

        A running answer whose own request turns out to be broken is cut; a request that has its answer gets no second.
        """
        cycle, is_of_cycle = self.cycle, self.framing.is_open
        if cycle is None or cycle.response_complete:
            self._end_with(None if cycle is not None and is_of_cycle else error)
        elif is_of_cycle and self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            cycle.more_body = False  # the watch waits for no more of it: it would refuse it again, at once
            self._held_refusal = error
        elif not is_of_cycle:
            self._held_refusal = error
        elif cycle.response_started:
            self.abort()
        else:
            self._end_with(error)

    def _end_with(self, error: ProxyError | None) -> None:
        if error is not None:
            if self.cycle is None or self.cycle.response_complete:  # no app has heard of the request
                method = self.parser.get_method() if self.url else b""
                self._note_refusal(method.decode("latin-1"), self.url.partition(b"?")[0].decode("latin-1"), error)
            body = error.body()
            head = [(name.encode(), value.encode()) for name, value in error.headers() if name != "connection"]
            head += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
            self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + body)
        self.transport.close()
