"""How many values a JSON text holds: it can unfold into many times its size, so they are counted before it is read.

    holds_too_many(body)    # True: reading it would make more objects than any request or answer needs

Commas and opening brackets outside strings are counted, which each begin one value. A text is looked at piece by piece,
so that a thread that counts lets others run.
"""

MAX_VALUES = 500_000
SMALL_BYTES = 1_048_576  # what is shorter cannot hold enough to matter
PIECE_BYTES = 1_048_576
MAX_QUOTES = 8_000_000
STARTS = (b",", b"[", b"{")
QUOTE, BACKSLASH = b'"', ord("\\")


def holds_too_many(body: bytes) -> bool:
    """Tell whether a JSON text holds more values than may be read."""
    if len(body) <= SMALL_BYTES or count(body, 0, len(body)) <= MAX_VALUES:
        return False
    total = place = quotes = 0
    while place < len(body):
        begins = body.find(QUOTE, place)
        if begins < 0:
            begins = len(body)
        total += count(body, place, begins)
        place = begins + 1
        while True:  # to the end of the string
            place = body.find(QUOTE, place) + 1
            quotes += 1
            if total > MAX_VALUES or quotes > MAX_QUOTES:
                return True
            if place == 0:
                return False
            if not is_escaped(body, place - 1):
                break
    return total > MAX_VALUES


def count(body: bytes, begins: int, ends: int) -> int:
    """Return how many values begin in a part of a text that holds no string; stop soon after there are too many."""
    total = 0
    for start in range(begins, ends, PIECE_BYTES):
        total += sum(body.count(each, start, min(start + PIECE_BYTES, ends)) for each in STARTS)
        if total > MAX_VALUES:
            break
    return total


def is_escaped(body: bytes, place: int) -> bool:
    """Tell whether an odd number of backslashes stands before a quote."""
    before = place
    while before > 0 and body[before - 1] == BACKSLASH:
        before -= 1
    return (place - before) % 2 == 1
