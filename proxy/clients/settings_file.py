"""A client's settings file as it lies there: read within limits, replaced whole, with the rights it had."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from proxy.errors.configuration import ClientFileRefused
from proxy.files import put_in_place

MAX_FILE_BYTES = 1_048_576
NEW_FILE_MODE = 0o600  # it may hold a key


def read(path: Path) -> bytes | None:
    """Return the file's bytes, None where there is none; raises ClientFileRefused for one that is not to be edited."""
    try:
        status = path.lstat()
        check(path, status)
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ClientFileRefused(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ClientFileRefused(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
    return content


def check(path: Path, status: os.stat_result) -> None:
    """Refuse what is no plain file of this user that may be written; raises ClientFileRefused."""
    if stat.S_ISLNK(status.st_mode):
        raise ClientFileRefused(f"{path} is a link to {path.readlink()}; what it leads to is yours to edit")
    if not stat.S_ISREG(status.st_mode):
        raise ClientFileRefused(f"{path} is no file")
    if status.st_nlink > 1:
        raise ClientFileRefused(f"{path} has another name (a hard link)")
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise ClientFileRefused(f"{path} is another user's")
    if not status.st_mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise ClientFileRefused(f"{path} is read-only")


def write(path: Path, content: bytes | None, expected: bytes | None) -> list[Path]:
    """Put bytes in the file's place, None removes it; return the folders that were made, the outermost first.

    Raises ClientFileRefused where it does not hold what is expected or cannot be written; nothing has changed then.
    """
    made: list[Path] = []
    beside: Path | None = None
    try:
        if content is not None:
            made = make_folders(path.parent)
            beside = written_beside(path, content)
        check_unchanged(path, expected)
        if beside is not None:
            put_in_place(beside, path)
        else:
            path.unlink(missing_ok=True)
    except (OSError, ClientFileRefused) as error:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        remove_folders(made)
        if isinstance(error, OSError):
            raise ClientFileRefused(f"{path} cannot be written: {error.strerror or error}") from error
        raise
    return made


def check_unchanged(path: Path, expected: bytes | None) -> None:
    """Raise ClientFileRefused where a file does not hold what is expected."""
    if read(path) != expected:
        raise ClientFileRefused(f"{path} has changed meanwhile; look at it again")


def written_beside(path: Path, content: bytes) -> Path:
    """Write bytes to a new file in the same folder, with the rights of the one whose place it takes."""
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else NEW_FILE_MODE
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def make_folders(folder: Path) -> list[Path]:
    """Make the folders that are missing, for their owner alone, and return them; raises OSError."""
    missing = [each for each in reversed((folder, *folder.parents)) if not each.exists()]
    for each in missing:
        each.mkdir(mode=0o700)
    return missing


def remove_folders(folders: list[Path]) -> None:
    """Remove folders that are empty, the innermost first; the others stay."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()
