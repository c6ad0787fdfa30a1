"""Start programs of the system: without our pipes, and without the library path of a frozen app."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence

from proxy.settings.key_variables import without_keys

LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

log = logging.getLogger(__name__)


def child_environment() -> dict[str, str]:
    """Return the environment without our keys, and as it was before a frozen app's loader changed it.

    PyInstaller points the library path at the app's own folder and keeps the user's in *_ORIG; a browser that
    inherits it loads our OpenSSL instead of its own.
    """
    environment = without_keys(os.environ)
    if getattr(sys, "frozen", False):
        for name in LIBRARY_PATHS:
            environment.pop(name, None)
            if original := environment.pop(f"{name}_ORIG", None):
                environment[name] = original
    return environment


def run_with_input(command: Sequence[str], text: str, timeout_s: float, **variables: str) -> None:
    """Run a program to its end with a text as its input, in UTF-8; raises OSError or subprocess.SubprocessError.

    Its output is discarded: a program like wl-copy leaves a process behind that would hold our pipes open.
    """
    subprocess.run(  # noqa: S603  the callers' commands are fixed
        command,
        input=text.encode("utf-8", "replace"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment() | variables,
        timeout=timeout_s,
        check=True,
    )


def start(command: Sequence[str], timeout_s: float) -> bool:
    """Start a program that may keep running; return whether it seems to have worked, within `timeout_s`.

    Raises OSError if it cannot be started. The program has its own session and outlives us.
    """
    process = subprocess.Popen(  # noqa: S603  the callers' commands are fixed
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        start_new_session=True,
    )
    try:
        return process.wait(timeout_s) == 0
    except subprocess.TimeoutExpired:
        threading.Thread(target=wait_for_exit, args=(process, command[0]), name="child-exit", daemon=True).start()
        return True


def wait_for_exit(process: "subprocess.Popen[bytes]", name: str) -> None:
    """Wait for a program to exit, on a thread of its own: otherwise it stays a zombie until we exit."""
    if code := process.wait():
        log.info("%s exited with %d", name, code)
