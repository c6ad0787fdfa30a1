"""Undo the encodings of an answer's body as it arrives: gzip, deflate, br and zstd, in bounded steps."""

import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it has no types

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 65_536  # decoded at once
MAX_WINDOW: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 26}  # 64 MB
MAX_ENCODINGS = 3
MAX_EMPTY = 64  # members one behind the other that hold nothing; each costs a copy of the rest
GZIP_BEGINS = b"\x1f\x8b"
BROKEN = (zlib.error, brotli.error, zstd.ZstdError)


class MalformedEncoding(Exception):
    """The body is not encoded as its header says."""


class Step(Protocol):
    """Undo one encoding."""

    @property
    def is_over(self) -> bool:
        """Tell whether the encoded body may end here."""

    def feed(self, data: bytes) -> bytes:
        """Return no more than STEP_BYTES; b"" asks for what is left of the data given before."""


class Inflate:
    """Undo gzip, members one behind the other, or deflate: with zlib's frame, or bare, as some servers send it."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._start()
        self._left = b""
        self._has_begun = False
        self._is_over = False  # what comes now is passed over

    def _start(self) -> None:
        self._inflater = zlib.decompressobj(self._window_bits)

    @property
    def is_over(self) -> bool:
        """Tell whether a member has ended, or none begun."""
        return self._inflater.eof or not self._has_begun

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes; raises zlib.error."""
        self._left = b"" if self._is_over else self._left + data
        for _ in range(MAX_EMPTY):
            if plain := self._member():
                return plain
            if not self._inflater.eof or self._left in (b"", GZIP_BEGINS[:1]):
                return b""
        raise zlib.error("too many empty members")

    def _member(self) -> bytes:
        """Return the next bytes of the member under way, or of the one behind it."""
        data = self._left
        if self._inflater.eof and data:
            if self._window_bits == zlib.MAX_WBITS | 16 and data == GZIP_BEGINS[:1]:
                return b""  # a chunk may end within it
            if self._window_bits != zlib.MAX_WBITS | 16 or not data.startswith(GZIP_BEGINS):
                self._left, self._is_over = b"", True  # what some servers put behind it
                return b""
            self._start()
        if not self._has_begun and data:
            self._has_begun = True
            if self._window_bits == zlib.MAX_WBITS and not looks_framed(data):
                self._window_bits = -zlib.MAX_WBITS
                self._start()
        plain = self._inflater.decompress(data, STEP_BYTES)
        self._left = self._inflater.unconsumed_tail or self._inflater.unused_data
        return plain


def looks_framed(data: bytes) -> bool:
    """Tell whether deflated data begins with zlib's frame (RFC 1950)."""
    return data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)


class Brotli:
    """Undo br."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self._left = b""
        self._has_begun = False

    @property
    def is_over(self) -> bool:
        """Tell whether the end has come, or nothing at all."""
        return bool(self._decompressor.is_finished()) or not self._has_begun

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes; raises brotli.error."""
        self._left += data
        self._has_begun = self._has_begun or bool(data)
        given = b""
        if self._left and self._decompressor.can_accept_more_data():
            given, self._left = self._left, b""
        if self._decompressor.is_finished():
            self._left = b""
            return b""
        plain: bytes = self._decompressor.process(given, output_buffer_limit=STEP_BYTES)
        return plain


class Zstandard:
    """Undo zstd, frames one behind the other."""

    def __init__(self) -> None:
        self._start()
        self._left = b""
        self._has_begun = False

    def _start(self) -> None:
        self._decompressor = zstd.ZstdDecompressor(options=MAX_WINDOW)

    @property
    def is_over(self) -> bool:
        """Tell whether a frame has ended, or none begun."""
        return self._decompressor.eof or not self._has_begun

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes; raises ZstdError."""
        self._has_begun = self._has_begun or bool(data)
        data = self._left + data
        for _ in range(MAX_EMPTY):
            if self._decompressor.eof:
                if not data:
                    return b""
                self._start()
            plain = self._decompressor.decompress(data, STEP_BYTES)
            data = self._left = self._decompressor.unused_data if self._decompressor.eof else b""
            if plain or not data:
                return plain
        raise zstd.ZstdError("too many empty frames")


STEPS: dict[str, Callable[[], Step]] = {
    "gzip": lambda: Inflate(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: Inflate(zlib.MAX_WBITS | 16),
    "deflate": lambda: Inflate(zlib.MAX_WBITS),
    "br": Brotli,
    "zstd": Zstandard,
}


class Decoder:
    """Undo all encodings a header names."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps  # in the order in which they are undone

    @classmethod
    def of(cls, named: str) -> "Decoder | None":
        """Return what undoes them; None where there is nothing to undo, or one is not known."""
        names = [name for name in (part.strip().lower() for part in named.split(",")) if name not in ("", "identity")]
        if not names or len(names) > MAX_ENCODINGS or not all(name in STEPS for name in names):
            return None
        return cls([STEPS[name]() for name in reversed(names)])

    def feed(self, data: bytes) -> bytes:
        """Return some decoded bytes; call it with b"" until it returns none. Raises MalformedEncoding."""
        try:
            return self._feed(0, data)
        except BROKEN as error:
            raise MalformedEncoding(str(error)) from error

    def _feed(self, index: int, data: bytes) -> bytes:
        step = self._steps[index]
        plain = step.feed(data)
        if index + 1 == len(self._steps):
            return plain
        while True:
            further = self._feed(index + 1, plain)
            if further or not plain:
                return further
            plain = step.feed(b"")

    def end(self) -> None:
        """Take note that nothing more comes; raises MalformedEncoding where the encoded body breaks off."""
        if not all(step.is_over for step in self._steps):
            raise MalformedEncoding("it breaks off")
