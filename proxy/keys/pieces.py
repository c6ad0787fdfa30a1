"""A long secret in several entries: the Windows Credential Manager has room for 1,280 characters in one.

An entry that is in pieces says how many there are, what they are called and what they come to. A new secret's pieces
have another name than the old one's, so that a write that breaks off leaves the old one whole.
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
    """Return the secret kept under a name; raises KeyringFailure where its pieces are not what they were."""
    kept = get(name)
    found = IN_PIECES.fullmatch(kept or "")
    if found is None:
        return kept
    secret = "".join(get(piece) or "" for piece in pieces_of(name, kept))
    if digest(secret) != found[3]:
        raise KeyringFailure(f"its entry {name!r} is in pieces of which one is gone or damaged; store the key again")
    return secret


def write(get: Get, set_: Set, delete: Delete, name: str, secret: str) -> None:
    """Keep a secret under a name, in pieces where it is long; raises KeyTooLong, and nothing has changed then."""
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
    """Return the names of the pieces that an entry speaks of."""
    found = IN_PIECES.fullmatch(kept or "")
    return [f"{name} {found[2]} {number}" for number in range(1, int(found[1]) + 1)] if found else []


def size(text: str) -> int:
    """Return how many characters of UTF-16 a text has."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def digest(secret: str) -> str:
    """Return what tells one secret from another."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
