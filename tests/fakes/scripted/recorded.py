"""What the scripted upstream remembers of one request."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recorded:
    """Hold one request as it came over the wire.

    `at` is `time.monotonic()` when the head was complete; `connection` counts accepted connections from 0 and
    `index` the requests on it. `complete` is False where the body never came to its end, or was not read yet.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float
    connection: int
    index: int
    complete: bool

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name in any letter case, or None."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """Return the values of all headers of that name in any letter case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:  # JSON is of any shape, and the test that asks knows which
        """Return the body read as JSON."""
        return json.loads(self.body)
