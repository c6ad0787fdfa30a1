"""Write and remove files in folders that other programs share, with a sentence where that fails."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proxy.errors.configuration import InstallationFailed
from proxy.files import beside, put_in_place, remove_leftovers, target_of


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an OSError into InstallationFailed that names the file."""
    try:
        yield
    except OSError as error:
        refused = path if error.filename is None or is_temporary(error.filename, path) else error.filename
        raise InstallationFailed(f"{refused}: {error.strerror or error}") from error


def is_temporary(name: str, path: Path) -> bool:
    """Return whether a file is what `write` makes beside a path, which is nothing to its reader."""
    return Path(name).parent == path.parent and Path(name).name.startswith(f".{path.name}.")


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole, in a folder whose rights stay as they are; raises OSError.

    The file of another program may be a link to one kept elsewhere: it stays a link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path = target_of(path)
    remove_leftovers(path.parent, path.name)
    new = beside(path)
    try:
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        put_in_place(new, path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def remove(path: Path) -> bool:
    """Remove a file or a folder and return whether there was one; raises InstallationFailed.

    Of a link only the link goes: what it leads to belongs to somebody else.
    """
    with writable(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            return True
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True
