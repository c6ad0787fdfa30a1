"""What Linux says of a process and its children: memory and processor time."""

import contextlib
import time
from pathlib import Path

CPUCLOCK_SCHED = 2


def family(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    pids = [pid]
    for parent in pids:  # grows while it is walked
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += [int(child) for child in children.read_text().split()]
    return pids


def rss_mb(pid: int) -> float:
    """Return the resident memory of the family, in MB of 1,048,576 bytes."""
    return sum(status_kb(each, "VmRSS") for each in family(pid)) / 1024


def peak_rss_mb(pid: int) -> float:
    """Return the highest resident memory since `forget_peak`; of a family the sum of each process's own peak."""
    return sum(status_kb(each, "VmHWM") for each in family(pid)) / 1024


def forget_peak(pid: int) -> None:
    """Let the peak begin anew at the memory of now (proc(5), clear_refs)."""
    for each in family(pid):
        Path(f"/proc/{each}/clear_refs").write_text("5")


def cpu_s(pid: int) -> float:
    """Return the processor time the family has used so far.

    The clock's number is what clock_getcpuclockid(3) returns: it counts nanoseconds, ended threads included.
    """
    return sum(time.clock_gettime(~each << 3 | CPUCLOCK_SCHED) for each in family(pid))


def status_kb(pid: int, field: str) -> int:
    """Return one size of /proc/PID/status; 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0])
    return 0
