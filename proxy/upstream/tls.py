"""TLS over any connection, also over one that is TLS itself: small buffers, and sessions that are used again."""

import asyncio
import re
import ssl
from contextlib import suppress
from typing import Any

import httpx2

from proxy.errors.upstream import CertificatesUnusable, UpstreamTlsFailure
from proxy.settings.certificates import trusting
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.unread import unread

READ_BYTES = 65_536  # decrypted before the protocol is told
RECORD_BYTES = 16_384
SIGNS = re.compile(r"^\[SSL[^\]]*\]\s*|\s*\(_ssl\.c:\d+\)$")  # `[SSL: CERTIFICATE_VERIFY_FAILED] … (_ssl.c:1006)`


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """A transport to the protocol above it, and the protocol of the transport below.

    asyncio's own takes 256 kB a connection, knows no sessions, and before Python 3.11 no TLS within TLS.
    """

    def __init__(
        self, below: asyncio.Transport, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._below = below
        self._protocol: asyncio.Protocol = asyncio.Protocol()
        self._shaken: asyncio.Future[None] | None = self._loop.create_future()
        self._is_paused = self._is_closing = self._has_ended = False

    async def handshake(self) -> None:
        """Agree on keys and check the certificate; raises ssl.SSLError, or ConnectionError where the other end left."""
        assert self._shaken is not None  # noqa: S101  it is called once
        self._below.set_protocol(self)
        self._below.resume_reading()
        self._shake()
        await self._shaken
        self._shaken = None

    @property
    def session(self) -> ssl.SSLSession | None:
        """Return what lets a later connection do with a shorter handshake."""
        return self._tls.session

    def _shake(self) -> None:
        if self._shaken is None or self._shaken.done():
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the other end is told why
            self._shaken.set_exception(error)
        else:
            self._flush()
            self._shaken.set_result(None)

    def _flush(self) -> None:
        if self._outgoing.pending and not self._below.is_closing():
            self._below.write(self._outgoing.read())

    # --- from below ---------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Decrypt."""
        self._incoming.write(data)
        if self._shaken is not None and not self._shaken.done():
            self._shake()
        elif not self._is_paused:
            self._read()

    def _read(self) -> None:
        while not (self._is_paused or self._is_closing or self._has_ended or self._shaken):
            pieces: list[bytes] = []
            size, is_dry, error = 0, False, None
            try:
                while size < READ_BYTES and (piece := self._tls.read(RECORD_BYTES)):
                    pieces.append(piece)
                    size += len(piece)
                self._has_ended = size < READ_BYTES  # it has said that nothing more comes
            except ssl.SSLWantReadError:
                is_dry = True
            except ssl.SSLZeroReturnError:
                self._has_ended = True
            except ssl.SSLError as broken:
                error = broken
            self._flush()
            if pieces:
                self._protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if error is not None:
                self._fail(error)
            elif self._has_ended:
                self._protocol.eof_received()
                self.close()
            if is_dry or error is not None:
                return

    def _fail(self, error: Exception) -> None:
        protocol, self._protocol = self._protocol, asyncio.Protocol()
        self._is_closing = True
        self._below.abort()
        protocol.connection_lost(error)

    def eof_received(self) -> None:
        """Pass on the end of the connection; the transport below closes itself."""
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(ConnectionResetError("the connection ended within the TLS handshake"))
        elif not self._has_ended:
            self._has_ended = True
            self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the loss of the connection, behind what came before it."""
        if exc is not None and not self._is_closing and (rest := unread(self._below)):
            self.data_received(rest)
        self._is_closing = True
        if self._shaken is not None and not self._shaken.done():
            self._shaken.set_exception(exc or ConnectionResetError("the connection ended within the TLS handshake"))
        protocol, self._protocol = self._protocol, asyncio.Protocol()
        protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._protocol.resume_writing()

    # --- from above ---------------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes from now on to this protocol."""
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101  ours are
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who is given what comes."""
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send encrypted."""
        if self._is_closing or not data:
            return
        try:
            sent = self._tls.write(data)
            if sent < len(data):
                view = memoryview(data)
                while sent < len(view):
                    sent += self._tls.write(view[sent:])
        except ssl.SSLError as error:
            self._loop.call_soon(self._fail, error)
            return
        self._below.write(self._outgoing.read())

    def pause_reading(self) -> None:
        """Give nothing more to the protocol for now."""
        self._is_paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Give what comes to the protocol again."""
        if self._is_paused:
            self._is_paused = False
            self._below.resume_reading()
            self._loop.call_soon(self._read)  # what was read and not decrypted

    def is_reading(self) -> bool:
        """Tell whether what comes is given to the protocol."""
        return not self._is_paused and not self._is_closing

    def close(self) -> None:
        """Say that nothing more comes, and close once all is written."""
        if self._is_closing:
            return
        self._is_closing = True
        with suppress(ssl.SSLError):  # the other end has not said the same yet
            self._tls.unwrap()
        self._flush()
        self._below.close()

    def abort(self) -> None:
        """Close at once."""
        self._is_closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed or closing."""
        return self._is_closing or self._below.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport below knows."""
        return self._below.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that have not left."""
        return self._below.get_write_buffer_size()


async def start_tls(
    below: asyncio.Transport, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None
) -> TlsTransport:
    """Return TLS over a connection, checked; raises ssl.SSLError and OSError, and closes the connection then."""
    transport = TlsTransport(below, context, host, session)
    try:
        await transport.handshake()
    except BaseException:
        below.close()
        raise
    return transport


def failure_of(error: ssl.SSLError) -> UpstreamTlsFailure:
    """Return a failed handshake as an error of ours, in the library's words without its own signs."""
    return UpstreamTlsFailure(SIGNS.sub("", str(error)))


def tls_context(options: UpstreamOptions) -> ssl.SSLContext:
    """Return the context that verifies the upstream; raises CertificatesUnusable.

    Without a file of the user's own the SDK's HTTP client decides: SSL_CERT_FILE, else the system's trust store.
    """
    if options.ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return trusting(options.ca_file)
    except ValueError as error:
        raise CertificatesUnusable(f"{options.ca_file!r}: {error}") from error
