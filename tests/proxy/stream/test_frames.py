"""Where frames end, however their bytes are cut."""

import random

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol as Peer
from websockets.protocol import Side

from proxy.stream.frames import FrameBorder, close_frame

LENGTHS = [0, 1, 2, 125, 126, 127, 128, 65_535, 65_536, 70_000]
OPCODES = [Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.PONG]


def frames(rng: random.Random, count: int) -> list[bytes]:
    """Return frames as a real client or server writes them."""
    masks = rng.random() < 0.5
    made = []
    for _ in range(count):
        opcode = rng.choice(OPCODES)
        size = rng.choice(LENGTHS[:4] if opcode in (Opcode.PING, Opcode.PONG) else LENGTHS)
        made.append(Frame(opcode, rng.randbytes(size), fin=opcode > 2 or rng.random() < 0.5).serialize(mask=masks))
    return made


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut bytes anywhere, into small and into large pieces."""
    cut = []
    while data:
        size = rng.choice([1, 1, 2, 3, 5, 100, 70_000])
        cut.append(data[:size])
        data = data[size:]
    return cut


@pytest.mark.core
@pytest.mark.parametrize("seed", range(40))
def test_a_border_is_where_a_frame_ends_and_nowhere_else(seed: int) -> None:
    rng = random.Random(seed)
    made = frames(rng, 12)
    borders = {sum(map(len, made[:count])) for count in range(len(made) + 1)}
    border, at = FrameBorder(), 0
    assert border.is_here
    for piece in pieces(rng, b"".join(made)):
        border.follow(piece)
        at += len(piece)

        assert border.is_here == (at in borders), at
        assert not border.is_closed


@pytest.mark.core
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("masks", [True, False])
def test_a_close_frame_is_seen(size: int, masks: bool) -> None:
    text, close = (Frame(opcode, b"\x88\x02").serialize(mask=masks) for opcode in (Opcode.TEXT, Opcode.CLOSE))
    border, seen = FrameBorder(), []
    for data in (text, close):
        for at in range(0, len(data), size):
            border.follow(data[at : at + size])
        seen.append((border.is_here, border.is_closed))

    assert seen == [(True, False), (True, True)]


def test_no_length_is_too_long() -> None:
    border = FrameBorder()
    border.follow(b"\x82\x7f" + b"\xff" * 8 + b"x" * 1000)

    assert not border.is_here


@pytest.mark.parametrize("masked", [True, False])
def test_a_farewell_is_a_close_frame_that_the_other_end_understands(masked: bool) -> None:
    peer = Peer(Side.SERVER if masked else Side.CLIENT)
    peer.receive_data(close_frame(masked=masked))
    peer.receive_eof()

    assert peer.close_rcvd == Close(1001, "")
