"""Count a prompt's tokens, and remember its beginnings as the caches of real upstreams do: a second one is cheaper."""

import hashlib
import json
import threading
from collections.abc import Sequence
from typing import NamedTuple

from cachetools import LRUCache

from proxy.demo.texts import count_tokens

AROUND_TOKENS = 3  # that upstreams count for each message beside its text
MAX_REMEMBERED = 2_000  # beginnings of prompts


class Counted(NamedTuple):
    """The tokens of a prompt, and how many of them came from the cache."""

    tokens: int
    cached: int


class PromptCache:
    """The beginnings of prompts that were seen, by model. Any thread.

    Real caches begin at some thousand bytes; this one takes any prompt, for a demo's are short.
    """

    def __init__(self) -> None:
        self._seen: LRUCache[bytes, bool] = LRUCache(MAX_REMEMBERED)
        self._lock = threading.Lock()

    def count(self, model: str, pieces: Sequence[object]) -> Counted:
        """Count a prompt, given in the order in which caches see it, and remember it."""
        digest, tokens, cached = hashlib.blake2b(model.encode("utf-8", "replace")), 0, 0
        is_known = True
        with self._lock:
            for piece in pieces:
                text = piece if isinstance(piece, str) else json.dumps(piece)
                digest.update(b"%d:" % len(text) + text.encode("utf-8", "replace"))
                tokens += count_tokens(text) + AROUND_TOKENS
                is_known = is_known and digest.digest() in self._seen
                if is_known:
                    cached = tokens
                self._seen[digest.digest()] = True
        return Counted(max(tokens, 1), max(min(cached, tokens - 1), 0))  # the last token is always read anew
