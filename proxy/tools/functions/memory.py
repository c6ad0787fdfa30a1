"""How much memory the functions may take, so that one that fills it fails alone."""

import os
import sys
from contextlib import suppress
from pathlib import Path

OUT_OF_MEMORY = 77  # the process's exit code where it could not even make an answer
MEMORY_BYTES = 4 * 1024**3
FIRST_TO_END = "800"  # of 1,000: where memory runs out all the same, Linux ends this process before others


def memory_limit() -> int:
    """Return how many bytes the functions may take: 4 GiB, and no more than half of what this computer has."""
    try:
        has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return MEMORY_BYTES
    return min(MEMORY_BYTES, has // 2)


def limit_memory(limit_bytes: int) -> None:
    """Let this process, and each that it starts, have so much memory of its own.

    Address space alone is not counted: libraries reserve more of it than they use. Windows knows no such limit.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END, encoding="ascii")
