"""Programs a test runs in the background, which tell on a pipe when they are ready."""

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

START_LIMIT_S = 20
STOP_LIMIT_S = 10


def need(*names: str) -> str:
    """Return the path of the first of these programs there is; without any skip the test.

    With REQUIRE_DESKTOP set, fail it.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{' or '.join(names)} is not installed"
    if os.environ.get("REQUIRE_DESKTOP"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running(*command: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Run a program for a while; yield it and the first line it writes to the descriptor put in place of {fd}."""
    need(command[0])
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [word.replace("{fd}", str(write_end)) for word in command],
        pass_fds=[write_end],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            assert select.select([pipe], [], [], START_LIMIT_S)[0], f"{command[0]} was not ready in time"
            line = pipe.readline().decode().strip()
        assert line, f"{command[0]} ended at once"
        yield process, line
    finally:
        process.terminate()
        process.wait(STOP_LIMIT_S)
