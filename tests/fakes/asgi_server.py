"""The app under an ASGI server: uvicorn or hypercorn, as processes of their own on an empty computer."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fakes.environment import environment
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import UPSTREAM_KEY
from fakes.wire_client import WireClient

START_S = 30.0
LISTENING = re.compile(r"[Rr]unning on http://127\.0\.0\.1:(\d+)")
ADDRESS = ["--host", "127.0.0.1", "--port", "0"]
# The two loops that servers run on: uvicorn takes uvloop where it is installed, as its extra [standard] has it.
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", *ADDRESS, "--loop", "uvloop", "--timeout-graceful-shutdown", "3"],
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:0", "--graceful-timeout", "3"],
}


@dataclass(frozen=True)
class AsgiServer:
    """A running server; its first process is the one that was started."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    printed_to: Path

    @property
    def printed(self) -> str:
        """Return what it has printed so far, the log of its workers too."""
        return self.printed_to.read_text(encoding="utf-8", errors="replace")

    @property
    def base_url(self) -> str:
        """Return the URL tools are pointed at."""
        return f"http://127.0.0.1:{self.port}/v1"

    def connect(self, limit_s: float = 15) -> WireClient:
        """Open a connection to it."""
        return WireClient(self.port, limit_s=limit_s)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        first = psutil.Process(self.process.pid)
        python = [child for child in first.children(recursive=True) if is_worker(child)]
        return python or [first]


def is_worker(process: psutil.Process) -> bool:
    """Tell whether a process is one of a server's own, none that `multiprocessing` keeps beside them."""
    with suppress(psutil.NoSuchProcess):
        return "resource_tracker" not in " ".join(process.cmdline())
    return False


@contextmanager
def run_asgi(name: str, home: Path, *options: str, limit_s: float = START_S, **variables: str) -> Iterator[AsgiServer]:
    """Run a server until the block ends; TimeoutError where it does not come to answer."""
    with start_asgi(name, home, *options, **variables) as (process, printed):
        yield AsgiServer(name, wait_for_port(process, printed, limit_s), process, printed)


@contextmanager
def start_asgi(
    name: str, home: Path, *options: str, **variables: str
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Start a server, and kill what is left of it when the block ends."""
    printed = home / f"printed-{os.urandom(4).hex()}"
    home.mkdir(exist_ok=True)
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name], *options, "proxy.web.asgi:app"],
            env=environment(home, **variables),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, printed
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too; how it stops has tests of its own
        process.wait(10)


def wait_for_port(process: "subprocess.Popen[bytes]", printed: Path, limit_s: float = START_S) -> int:
    """Wait until a server says where it listens, and does so."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and process.poll() is None:
        if found := LISTENING.search(printed.read_text(errors="replace")):
            with suppress(ConnectionError):  # it is said before anybody listens
                socket.create_connection(("127.0.0.1", int(found[1]))).close()
                return int(found[1])
        time.sleep(0.02)
    raise TimeoutError(printed.read_text(errors="replace"))


def before(upstream: ScriptedUpstream | str, **variables: str) -> dict[str, str]:
    """Return the variables of a proxy before an upstream."""
    base_url = upstream if isinstance(upstream, str) else upstream.base_url
    return {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": UPSTREAM_KEY, **variables}
