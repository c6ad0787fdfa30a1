"""Decode request bodies that clients send encoded: gzip, deflate, br and zstd, never beyond the limit of a body."""

import asyncio
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it has no types

from proxy.errors.request import BodyTooLarge, EncodingUnsupported, MalformedRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 26}  # 64 MB
MAX_ENCODINGS = 3
MAX_MEMBERS = 64  # each costs a copy of the rest of the body
BROKEN = (zlib.error, brotli.error, zstd.ZstdError)


class Member(Protocol):
    """What undoes one member of an encoded body."""

    @property
    def eof(self) -> bool:
        """Tell whether it has ended."""

    @property
    def unused_data(self) -> bytes:
        """Return what follows its end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return no more than so many bytes."""


async def decoded(named: str, body: bytes, limit_bytes: int) -> bytes:
    """Return a body without the encodings its header names.

    Raises BodyTooLarge, MalformedRequest or EncodingUnsupported.
    """
    names = [name for name in (part.strip().lower() for part in named.split(",")) if name not in ("", "identity")]
    if len(names) > MAX_ENCODINGS or not all(name in DECODERS for name in names):
        raise EncodingUnsupported(named[:100])
    for name in reversed(names):
        body = await asyncio.to_thread(decode, name, body, limit_bytes)  # a few bytes may hold millions
    return body


def decode(name: str, body: bytes, limit_bytes: int) -> bytes:
    """Undo one encoding; raises BodyTooLarge as soon as the limit is passed, MalformedRequest for broken bodies."""
    try:
        plain, is_whole = DECODERS[name](body, limit_bytes + 1)
    except BROKEN as error:
        raise MalformedRequest(f"the body is no {name}") from error
    if len(plain) > limit_bytes:
        raise BodyTooLarge("decoded")
    if not is_whole:
        raise MalformedRequest(f"the body's {name} breaks off")
    return plain


def members(start: Callable[[], Member], body: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Undo one member or frame after another; return no more bytes than asked, and whether the last one ended.

    Raises MalformedRequest.
    """
    pieces: list[bytes] = []
    left = most_bytes
    for _ in range(MAX_MEMBERS):
        if not body or not left:
            return b"".join(pieces), True
        member = start()
        pieces.append(member.decompress(body, left))
        if not member.eof:
            return b"".join(pieces), False
        left -= len(pieces[-1])
        body = member.unused_data
    raise MalformedRequest(f"the body is made of more than {MAX_MEMBERS} pieces")


def gunzip(body: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Undo gzip."""
    return members(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), body, most_bytes)


def undeflate(body: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Undo deflate: as HTTP means it, with zlib's frame, or bare, as some clients send it."""
    try:
        return members(zlib.decompressobj, body, most_bytes)
    except zlib.error:
        return members(lambda: zlib.decompressobj(-zlib.MAX_WBITS), body, most_bytes)


def unbrotli(body: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Undo br."""
    decompressor = brotli.Decompressor()
    pieces = [decompressor.process(body, output_buffer_limit=most_bytes)]
    while not decompressor.can_accept_more_data() and sum(map(len, pieces)) < most_bytes:
        pieces.append(decompressor.process(b"", output_buffer_limit=most_bytes))
    return b"".join(pieces)[:most_bytes], decompressor.is_finished()


def unzstd(body: bytes, most_bytes: int) -> tuple[bytes, bool]:
    """Undo zstd."""
    return members(lambda: zstd.ZstdDecompressor(options=MAX_WINDOW), body, most_bytes)


Decoder = Callable[[bytes, int], tuple[bytes, bool]]
DECODERS: dict[str, Decoder] = {
    "gzip": gunzip,
    "x-gzip": gunzip,
    "deflate": undeflate,
    "br": unbrotli,
    "zstd": unzstd,
}
