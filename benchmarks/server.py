"""A running server: started on a free port, waited for, and ended."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import procfs
from benchmarks.client import Upstream, get_status
from benchmarks.targets import Target

POLL_S = 0.005
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Server:
    """A server that has answered its health request."""

    target: Target
    port: int
    pid: int
    ready_after_s: float  # from the start of the process


@contextlib.contextmanager
def running(target: Target, logs: Path, timeout_s: float = 180) -> Iterator[Server]:
    """Start a server and end it, with all its children, on leaving; raises RuntimeError if it does not become ready."""
    port = free_port()
    for path, text in target.files.items():
        path.write_text(text.replace("{port}", str(port)))
    command = [part.replace("{port}", str(port)) for part in target.command]
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | target.env
    log = logs / f"{target.name}.log"
    with log.open("ab") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=target.cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that its children can be ended with it
        )
    try:
        wait_until_ready(process, port, target, begun + timeout_s, log)
        yield Server(target, port, process.pid, time.monotonic() - begun)
    finally:
        end(process)


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, target: Target, deadline: float, log: Path) -> None:
    """Ask for health until it is answered with 200."""
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get_status(port, target.health_path, deadline - time.monotonic(), is_tls=target.is_tls) == 200:
                return
        time.sleep(POLL_S)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{target.name} did not become ready (exit status {process.poll()}); its last words:\n{tail}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the process to stop, then make it and whatever it left behind."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def settle(server: Server, upstream: Upstream, timeout_s: float = 30) -> None:
    """Wait until the server has nothing left to do, so that one measure does not weigh on the next."""
    deadline = time.monotonic() + timeout_s
    upstream.wait(lambda now: now["active"] == 0, timeout_s)
    while time.monotonic() < deadline:
        before = procfs.cpu_s(server.pid)
        time.sleep(0.3)
        if procfs.cpu_s(server.pid) - before < 0.015:
            return


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
