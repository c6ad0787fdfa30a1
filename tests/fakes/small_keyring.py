"""A keyring with as little room in an entry as Windows' Credential Manager has."""

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

ENTRY_BYTES = 2_560  # CRED_MAX_CREDENTIAL_BLOB_SIZE; keyring writes UTF-16 into it


class SmallKeyring(KeyringBackend):
    """Keep entries in memory, and fail as Windows does."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}
        self.fails_after: int | None = None  # so many more writes

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.fails_after is not None:
            self.fails_after -= 1
        if self.fails_after == -1 or len(password.encode("utf-16-le", "surrogatepass")) > ENTRY_BYTES:
            raise OSError(1783, "CredWrite", "The stub received bad data")
        self.kept[username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop(username, None) is None:
            raise PasswordDeleteError("Not found")


SmallKeyring.__module__ = "keyring.backends.Windows"
