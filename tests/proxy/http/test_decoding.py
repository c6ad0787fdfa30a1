"""Undo the encodings of an answer in small steps: many members, members that hold nothing, and no end of either."""

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest

from proxy.http.decoding import MAX_EMPTY, STEP_BYTES, Decoder, MalformedEncoding, zstd

WORDS = b"some words, " * 40_000
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
WITH_MEMBERS = ("gzip", "zstd")


def decoded(name: str, body: bytes, cut: int) -> bytes:
    decoder = Decoder.of(name)
    assert decoder is not None
    pieces = []
    for start in range(0, len(body), cut):
        given = body[start : start + cut]
        while piece := decoder.feed(given):
            assert len(piece) <= 4 * STEP_BYTES  # brotli rounds it up
            pieces.append(piece)
            given = b""
    decoder.end()
    return b"".join(pieces)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("cut", [1, 7, 100_000])
def test_a_body_comes_in_small_steps(name: str, cut: int) -> None:
    assert decoded(name, ENCODERS[name](WORDS), cut) == WORDS


@pytest.mark.parametrize("name", WITH_MEMBERS)
@pytest.mark.parametrize("cut", [1, 50, 100_000])
@pytest.mark.parametrize("parts", [[b"", b"", b"a"], [b"a", b"", b"", b"", b"b"], [b"", b"a", b""], [b"a", b"b", b"c"]])
def test_a_member_may_hold_nothing(name: str, cut: int, parts: list[bytes]) -> None:
    assert decoded(name, b"".join(map(ENCODERS[name], parts)), cut) == b"".join(parts)


@pytest.mark.parametrize("name", WITH_MEMBERS)
def test_members_without_end_that_hold_nothing_are_refused(name: str) -> None:
    with pytest.raises(MalformedEncoding):
        decoded(name, ENCODERS[name](b"") * (MAX_EMPTY + 1), 100_000)
