"""Store a long secret in several entries: one entry of the Windows Credential Manager holds 1,280 characters.

The main entry then holds the number of pieces, their name and a digest. The pieces of a new secret have a new name, so
that an interrupted write leaves the old secret intact.
"""

import hashlib
import re
import secrets as random
from collections.abc import Callable

from proxy.errors.keyring import KeyringFailure, KeyTooLong

ENTRY_CHARACTERS = 1_280  # 2,560 bytes of UTF-16 (github.com/jaraco/keyring/issues/540)
MAX_PIECES = 64
IN_PIECES = re.compile(r"in ([1-9]\d?) pieces: ([0-9a-f]{8}), sha256 ([0-9a-f]{64})")  # no key has spaces

Get = Callable[[str], str | None]
Set = Callable[[str, str], object]
Delete = Callable[[str], object]


def read(get: Get, name: str) -> str | None:
    """Return the secret stored under a name; raises KeyringFailure if its pieces do not fit the digest."""
    kept = get(name)
    found = IN_PIECES.fullmatch(kept or "")
    if found is None:
        return kept
    secret = "".join(get(piece) or "" for piece in pieces_of(name, kept))
    if digest(secret) != found[3]:
        raise KeyringFailure(f"its entry {name!r} is in pieces of which one is gone or damaged; store the key again")
    return secret


def write(get: Get, set_: Set, delete: Delete, name: str, secret: str) -> None:
    """Store a secret under a name, in pieces if it is long; raises KeyTooLong, and then nothing has changed."""
    before = pieces_of(name, get(name))
    if size(secret) <= ENTRY_CHARACTERS and IN_PIECES.fullmatch(secret) is None:
        set_(name, secret)
    else:
        length = ENTRY_CHARACTERS if size(secret) == len(secret) else ENTRY_CHARACTERS // 2
        parts = [secret[start : start + length] for start in range(0, len(secret), length)]
        if len(parts) > MAX_PIECES:
            raise KeyTooLong(f"{len(secret):,} characters, {MAX_PIECES * length:,} fit")
        head = f"in {len(parts)} pieces: {random.token_hex(4)}, sha256 {digest(secret)}"
        for piece, part in zip(pieces_of(name, head), parts, strict=True):
            set_(piece, part)
        set_(name, head)
    for piece in before:
        delete(piece)


def pieces_of(name: str, kept: str | None) -> list[str]:
    """Return the names of the pieces that an entry lists."""
    found = IN_PIECES.fullmatch(kept or "")
    return [f"{name} {found[2]} {number}" for number in range(1, int(found[1]) + 1)] if found else []


def size(text: str) -> int:
    """Return the length of a text in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def digest(secret: str) -> str:
    """Return the digest of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
