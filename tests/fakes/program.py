"""The program as a process of its own, on an empty computer."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from fakes.environment import environment
from fakes.wire_client import WireClient

START_S = 40.0  # on a busy computer
STOP_S = 10.0
BASE_URL = re.compile(r"http://\S+:(\d+)/v1")


def run_python(
    home: Path, *words: str, typed: str = "", output: str = "utf-8", limit_s: float = 60, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run Python with these words to its end, in an environment of its own, and return what came of it."""
    return subprocess.run(
        [sys.executable, *words],
        env=environment(home, **variables),
        cwd=home,
        input=typed,
        capture_output=True,
        text=True,
        encoding=output,
        timeout=limit_s,
        check=False,
    )


class Program:
    """Run a command from `with` to the end of its block; what it prints goes to a file, so that it never waits."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        command: tuple[str, ...] = ("-m", "proxy"),
        python: str = sys.executable,
        **variables: str,
    ) -> None:
        self.home = home
        self._variables = environment(home, **variables)
        self._command = [python, *command, *arguments]
        self._printed = home / f"printed-{os.urandom(4).hex()}"

    def __enter__(self) -> "Program":
        with self._printed.open("wb") as printed:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=self._variables,
                cwd=self.home,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_S)

    @property
    def printed(self) -> str:
        """Return what it has printed so far, errors too."""
        return self._printed.read_text(encoding="utf-8", errors="replace")

    @property
    def base_url(self) -> str:
        """Wait until it prints its base URL, and return that."""
        return self._wait_for_base_url().group()

    @property
    def port(self) -> int:
        """Wait likewise, and return the port."""
        return int(self._wait_for_base_url().group(1))

    def connect(self) -> WireClient:
        """Open a connection to it."""
        return WireClient(self.port)

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end and return its exit code; TimeoutExpired when it takes longer than it may."""
        return self.process.wait(STOP_S)

    def _wait_for_base_url(self) -> re.Match[str]:
        deadline = time.monotonic() + START_S
        while (found := BASE_URL.search(self.printed)) is None:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"no base URL was printed, but this:\n{self.printed}")
            time.sleep(0.02)
        return found
