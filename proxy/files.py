"""Write the program's own files: complete at every moment, and for their owner alone."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Put bytes in a file's place, in a folder of its owner's; raises OSError, and then nothing has changed."""
    make_private_dir(path.parent)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def make_private_dir(folder: Path) -> None:
    """Make the folder, readable by its owner alone; raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # it may have existed with wider rights


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read."""
    return os.open(path, flags, mode=0o600)
