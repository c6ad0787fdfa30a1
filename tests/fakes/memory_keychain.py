"""A keychain that keeps nothing beyond the test; it passes the same contract test as the system's."""


class MemoryKeychain:
    """Keep secrets in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        """Return what is kept under a name."""
        return self.kept.get(name)

    def write(self, name: str, secret: str) -> None:
        """Keep a secret under a name."""
        self.kept[name] = secret

    def delete(self, name: str) -> None:
        """Keep nothing under a name any more."""
        self.kept.pop(name, None)
