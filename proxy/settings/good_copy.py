"""Keep the last good settings: a private copy of the settings file as it was when it was last applied."""

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from proxy import paths
from proxy.files import is_private, write_private
from proxy.settings.file_text import FileText


class GoodCopy:
    """Keep and read the copy of one settings file. A copy that is damaged or not ours alone is ignored."""

    def __init__(self, settings_file: Path) -> None:
        self._name = json.dumps(os.path.normcase(settings_file.absolute())).encode()

    @property
    def path(self) -> Path:
        """Return the copy's path; each settings file has its own."""
        return paths.state_file().with_name(f"good-settings-{digest(self._name)[:16]}.toml")

    def read(self) -> bytes | None:
        """Return the content of the copy, None if there is no usable one."""
        try:
            content = self.path.read_bytes() if is_own_file(self.path) else b""
        except OSError:
            return None
        text = content.partition(b"\n")[2]
        return text if content == self._written(text) else None

    def keep(self, content: bytes) -> None:
        """Keep the settings file's content; raises OSError, and then no copy is left: an older one would be wrong."""
        new = self._written(FileText.of(content).text.encode())
        if self.read() == new.partition(b"\n")[2]:
            return
        try:
            write_private(self.path, new)
        except OSError:
            with suppress(OSError):
                self.forget()
            raise

    def forget(self) -> None:
        """Delete the copy; raises OSError."""
        self.path.unlink(missing_ok=True)

    def _written(self, text: bytes) -> bytes:
        """Return the bytes of the copy; its first line holds a digest, so that damage is detected."""
        checked = digest(self._name + text).encode()
        return b"# The program's own copy of " + self._name + b" as it was last in force; " + checked + b"\n" + text


def is_own_file(path: Path) -> bool:
    """Return whether this is a regular file, not a link, that nobody else can read or change; raises OSError."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and is_private(status)


def digest(content: bytes) -> str:
    """Return the digest of a content."""
    return hashlib.sha256(content).hexdigest()
