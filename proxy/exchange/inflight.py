"""The requests under way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """Count the requests under way. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @property
    def count(self) -> int:
        """Return how many there are."""
        return self._count

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a request for as long as the block runs."""
        with self._lock:
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
