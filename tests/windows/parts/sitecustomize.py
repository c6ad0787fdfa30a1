"""Give the refusal of a lock the number it has on Windows, EACCES: Wine's C library sets none."""

import errno
import msvcrt

refusing = msvcrt.locking


def locking(descriptor: int, mode: int, size: int) -> None:
    try:
        refusing(descriptor, mode, size)
    except OSError as error:
        if error.errno:
            raise
        raise PermissionError(errno.EACCES, "Permission denied") from error


msvcrt.locking = locking
