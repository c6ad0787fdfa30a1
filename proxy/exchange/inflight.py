"""The requests under way."""


class InFlight:
    """Count the requests under way, each while its `with` block runs, on the event loop; read on any thread."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        """Return how many there are."""
        return self._count

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
