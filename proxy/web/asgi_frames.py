"""The client's end of a tunnel whose server hands over whole messages: frames on one side, messages on the other."""

import asyncio
import logging

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from proxy.web.asgi_client import WAITING_BYTES, Message, Outbox

LONGEST_MESSAGE_BYTES = 64 * 2**20  # of the upstream; an event with audio or a picture in it has megabytes
CLOSING_S = 5.0  # how long the upstream may take to answer the client's farewell
NO_CODE = 1005
UPSTREAM_IS_TOLD = {None: NO_CODE, 1006: 1001}  # a server's word for a client that broke off may not be sent
BAD_GATEWAY = 1014  # the upstream broke off

log = logging.getLogger(__name__)


class MessageTransport(asyncio.Transport):
    """Write what the upstream's frames say as messages for the client; hand on the client's messages as frames.

    It has read the handshake before: its frames are those of a client that agreed on no extension.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox
        outbox.moved = self._moved
        self._frames = Protocol(Side.CLIENT, state=State.OPEN, max_size=LONGEST_MESSAGE_BYTES)
        self._pieces: list[bytes] = []  # of a message that is not whole
        self._is_text = False
        self._protocol: asyncio.Protocol | None = None
        self._may_read = asyncio.Event()
        self._is_paused = False  # the protocol was told to write no more
        self._has_said_end = False  # the client is told that the WebSocket is closed
        self._has_left = False
        self._is_closing = False
        self._is_lost = False
        self._lose_later: asyncio.TimerHandle | None = None

    # What the ASGI side calls

    async def readable(self) -> None:
        """Return when the upstream can take more."""
        await self._may_read.wait()

    def take(self, message: Message) -> None:
        """Hand on a message of the client's."""
        if self._frames.state is not State.OPEN:
            return
        text = message.get("text")
        if text is not None:
            self._frames.send_text(text.encode())
        else:
            self._frames.send_binary(message["bytes"])
        self._flush()

    def end(self, code: int | None, reason: str) -> None:
        """Tell the upstream that the client has left; its answer closes the tunnel, for which it has a moment."""
        self._has_left = True
        self._outbox.drop()
        if self._frames.state is not State.OPEN:
            self._lose()
            return
        code = UPSTREAM_IS_TOLD.get(code, code)
        try:
            self._frames.send_close(*(() if code == NO_CODE else (code, reason)))
        except ProtocolError:  # a code that nobody may send
            self._frames.send_close()
        self._flush()
        self._lose_later = asyncio.get_running_loop().call_later(CLOSING_S, self._lose)

    # What the tunnel calls: asyncio's transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what comes over to this protocol."""
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101  the tunnel's is one
        self._protocol = protocol

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        """Take frames of the upstream's."""
        self._frames.receive_data(bytes(data))
        for event in self._frames.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
        self._flush()
        if (error := self._frames.parser_exc) is not None:
            self._fail(str(error))

    def get_write_buffer_size(self) -> int:
        """Return how much the client has yet to take, in bytes."""
        return self._outbox.waiting_bytes

    def pause_reading(self) -> None:
        """Take no more messages: the upstream is behind."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._may_read.set()

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self._is_closing or self._is_lost

    def close(self) -> None:
        """Close when the client has what was written; it is told where the upstream had no word of farewell."""
        self._is_closing = True
        self._say_end(BAD_GATEWAY, "the upstream broke off")
        self._moved()

    def abort(self) -> None:
        """Close at once."""
        self._outbox.drop()
        self._lose()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            said = self._frames.close_rcvd
            self._say_end(*((said.code, said.reason) if said and said.code != NO_CODE else (1000, "")))
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                self._take_message(b"".join(self._pieces))
                self._pieces.clear()

    def _take_message(self, data: bytes) -> None:
        if self._has_said_end or self._has_left:
            return
        try:
            said: Message = {"text": data.decode()} if self._is_text else {"bytes": data}
        except UnicodeDecodeError:
            self._frames.fail(1007, "text that is not UTF-8")
            self._fail("text that is not UTF-8")
            return
        self._outbox.put({"type": "websocket.send", **said}, len(data) + 1)

    def _fail(self, why: str) -> None:
        """End the tunnel for what the upstream has sent; what was sent before still arrives."""
        if not self._is_closing:
            log.warning("the upstream's WebSocket failed: %s", why)
            self._say_end(BAD_GATEWAY, "the upstream's message cannot be passed on")
            self.close()

    def _say_end(self, code: int, reason: str) -> None:
        if not (self._has_said_end or self._has_left):
            self._has_said_end = True
            self._outbox.put({"type": "websocket.close", "code": code, "reason": reason})

    def _flush(self) -> None:
        """Hand on what the frames' rules want sent: messages, pongs, the answer to a farewell."""
        data = b"".join(self._frames.data_to_send())
        if data and self._protocol is not None and not self._is_lost:
            self._protocol.data_received(data)

    def _moved(self) -> None:
        """Set the upstream's pace by the client's, and end once the client has all."""
        waiting_bytes = self._outbox.waiting_bytes
        if not waiting_bytes and (self._has_said_end or self._is_closing):
            self._lose()
        elif self._protocol is not None and (waiting_bytes >= WAITING_BYTES) is not self._is_paused:
            self._is_paused = not self._is_paused
            (self._protocol.pause_writing if self._is_paused else self._protocol.resume_writing)()

    def _lose(self) -> None:
        if self._lose_later is not None:
            self._lose_later.cancel()
        if not self._is_lost:
            self._is_lost = True
            if self._protocol is not None:
                asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
