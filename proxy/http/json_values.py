"""How many values a JSON text holds: it can unfold into many times its size, so they are counted before it is read.

    holds_too_many(body)    # True: reading it would make more objects than any request or answer needs

Commas and opening brackets outside strings are counted, which each begin one value. A text is looked at piece by piece,
so that a thread that counts lets others run.
"""

MAX_VALUES = 500_000
SMALL_BYTES = 1_048_576  # what is shorter cannot hold enough to matter
PIECE_BYTES = 262_144
MAX_QUOTES = 8_000_000
STARTS = (b",", b"[", b"{")
QUOTE, BACKSLASH = b'"', b"\\"


def holds_too_many(body: bytes) -> bool:
    """Tell whether a JSON text holds more values than may be read."""
    if len(body) <= SMALL_BYTES or count(body, 0, len(body)) <= MAX_VALUES:
        return False
    total = quotes = place = 0
    while place < len(body) and total <= MAX_VALUES and quotes <= MAX_QUOTES:
        piece = piece_at(body, place)
        place += len(piece)
        parts = piece.replace(BACKSLASH * 2, b"").replace(BACKSLASH + QUOTE, b"").split(QUOTE)
        outside = QUOTE.join(parts[quotes % 2 :: 2])
        total += count(outside, 0, len(outside))
        quotes += len(parts) - 1
    return total > MAX_VALUES or quotes > MAX_QUOTES


def piece_at(body: bytes, place: int) -> bytes:
    """Return the piece that begins at a place; it ends with a whole escape."""
    piece = body[place : place + PIECE_BYTES]
    is_cut = (len(piece) - len(piece.rstrip(BACKSLASH))) % 2 == 1
    return body[place : place + PIECE_BYTES + 1] if is_cut else piece


def count(body: bytes, begins: int, ends: int) -> int:
    """Return how many values begin in a part of a text that holds no string; stop soon after there are too many."""
    total = 0
    for start in range(begins, ends, PIECE_BYTES):
        total += sum(body.count(each, start, min(start + PIECE_BYTES, ends)) for each in STARTS)
        if total > MAX_VALUES:
            break
    return total
