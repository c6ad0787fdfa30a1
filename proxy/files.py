"""Write the program's own files: complete at every moment, and for their owner alone."""

import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIED_AGAIN_AFTER_S = (0.01, 0.05, 0.2)
OTHERS_RIGHTS = 0o077
LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<process>\d{1,10})(?:-[0-9a-f]{8})?")  # what `beside` makes
LEFT_AFTER_S = 60.0  # to write takes a moment; a process that is older may be another one with the number
LOCK_TRIED_EVERY_S = 0.02

log = logging.getLogger(__name__)


def write_private(path: Path, content: bytes) -> None:
    """Put bytes in a file's place, in a folder of its owner's; raises OSError, and then nothing has changed.

    A link stays one: who keeps the file elsewhere finds it there, in a folder that is left as it is.
    """
    make_private_dir(path.parent)
    path = target_of(path)
    remove_leftovers(path.parent, path.name)
    new = beside(path)
    try:
        with open(new, "wb", opener=open_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """Return where to write a file that then takes this one's place; no two writers have the same."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what processes that were killed have left of a file they wrote, or of any file in a folder of ours."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = LEFTOVER.fullmatch(entry.name)
            if found is None or name not in (None, found["name"]) or not entry.is_file(follow_symlinks=False):
                continue
            age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if age_s > LEFT_AFTER_S or not is_running(int(found["process"])):
                os.unlink(entry.path)  # noqa: PTH108  entries are no paths


def is_running(process: int) -> bool:
    """Tell whether a process of this number runs; on Windows, where to ask would end it, yes."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


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


@contextmanager
def held(file: Path, limit_s: float) -> Iterator[None]:
    """Hold a lock on a file among all processes of the user; raises TimeoutError where another one does not let go.

    Where the file cannot be made there is no lock, and the work goes on: what it guards is still written whole.
    """
    descriptor = None
    try:
        make_private_dir(file.parent)
        descriptor = wait_for_lock(file, limit_s)
    except TimeoutError:
        raise
    except OSError as error:
        log.debug("no lock can be had on %s: %s", file, error)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def wait_for_lock(file: Path, limit_s: float) -> int:
    """Return a descriptor that holds the lock on a file; raises TimeoutError and OSError."""
    deadline = time.monotonic() + limit_s
    while (descriptor := locked(file)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process has held {file} for {limit_s:g} s")
        time.sleep(LOCK_TRIED_EVERY_S)
    return descriptor


def locked(file: Path) -> int | None:
    """Return a descriptor that holds the lock on a file; None if another process holds it. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(descriptor)
    except (BlockingIOError, PermissionError):  # what flock and Windows raise when it is taken
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock(descriptor: int) -> None:
    """Lock an open file for this process, without waiting; raises OSError."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415  Windows only

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415  not on Windows

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
