"""Write the program's own files: complete at every moment, and for their owner alone."""

import os
import sys
import time
from pathlib import Path

TRIED_AGAIN_AFTER_S = (0.01, 0.05, 0.2)
OTHERS_RIGHTS = 0o077


def write_private(path: Path, content: bytes) -> None:
    """Put bytes in a file's place, in a folder of its owner's; raises OSError, and then nothing has changed.

    A link stays one: who keeps the file elsewhere finds it there, in a folder that is left as it is.
    """
    make_private_dir(path.parent)
    path = target_of(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def target_of(path: Path) -> Path:
    """Return where a path leads that may be a link."""
    return Path(os.path.realpath(path))


def put_in_place(new: Path, path: Path) -> None:
    """Put a file in another's place; raises OSError.

    Windows refuses while somebody has the other one open, as virus scanners have for a moment.
    """
    for wait_s in TRIED_AGAIN_AFTER_S:
        try:
            new.replace(path)
        except PermissionError:  # noqa: PERF203  there are three tries
            time.sleep(wait_s)
        else:
            return
    new.replace(path)


def make_private_dir(folder: Path) -> None:
    """Make the folder, readable by its owner alone; raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # it may have existed with wider rights


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read."""
    return os.open(path, flags, mode=0o600)


def is_private(status: os.stat_result) -> bool:
    """Tell whether a file is this user's alone; on Windows the folder's own rights say so."""
    return sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & OTHERS_RIGHTS)
