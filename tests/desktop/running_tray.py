"""The test tray as a process of its own, and what it tells."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakes.environment import ROOT
from waiting import wait_for

SCRIPT = Path(__file__).with_name("tray_script.py")


class RunningTray:
    """Start the script, send it what to show, and keep what it tells."""

    def __init__(self, env: Mapping[str, str], wanted: str = "auto") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT), wanted],
            env={**env, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []
        self._readers = [threading.Thread(target=self._read_events), threading.Thread(target=self._read_log)]
        for reader in self._readers:
            reader.start()

    @property
    def name(self) -> str:
        """The name of the backend that was chosen, once it is."""
        return wait_for(lambda: self.told("name"), "the tray's name")[0]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def clicks(self) -> list[str]:
        return self.told("clicked")

    def told(self, what: str) -> list[Any]:
        """Return what the script told under this name so far."""
        return [event[what] for event in self.events if what in event]

    def show(self, **look: Any) -> None:
        """Change the look, or nothing of it, and have the tray look again."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(look) + "\n")
        self._process.stdin.flush()

    def is_shown(self) -> bool:
        """Ask whether the icon is shown."""
        before = len(self.told("shown"))
        self.show()
        return bool(wait_for(lambda: self.told("shown")[before:], "an answer")[0])

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait_for_end(self, limit_s: float = 5) -> int:
        """Wait until the process ends and return its exit code."""
        return self._process.wait(limit_s)

    def close(self) -> None:
        """End it, if need be by force, and all that belongs to it."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        self.events.extend(json.loads(line) for line in self._process.stdout)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        self.log.extend(self._process.stderr)
