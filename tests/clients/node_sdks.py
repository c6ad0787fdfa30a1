"""openai-node and the AI SDK, as the table's rows use them: one Node process makes all the calls."""

import itertools
import json
import os
import shutil
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from clients.outcome import Outcome
from clients.scenario import Call

FOLDER = Path(__file__).parent / "node"
STOP_S = 10.0
ANSWER_S = 40.0


def why_not() -> str | None:
    """Say why Node's clients cannot run here, None where they can."""
    if shutil.which("node") is None:
        return "Node is not installed"
    if not (FOLDER / "node_modules" / "openai").is_dir():
        return f"the clients are not installed: npm ci --prefix {FOLDER}"
    return None


class NodeSdks:
    """Run Node from `with` to the end of its block; calls may come from several threads."""

    def __enter__(self) -> "NodeSdks":
        self._process = subprocess.Popen(
            ["node", str(FOLDER / "run.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Outcome]] = {}
        self._writing = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="node-sdks")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait(STOP_S)
        self._reader.join(STOP_S)
        self._process.stdout.close()

    def run(self, sdk: str, base_url: str, call: Call, *, asks_usage: bool, timeout_s: float) -> Outcome:
        """Make a call with one of the SDKs."""
        number = next(self._numbers)
        done = self._waiting[number] = Future()
        job = {"id": number, "sdk": sdk, "base_url": base_url, "call": call, "asks_usage": asks_usage}
        with self._writing:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({**job, "timeout_s": timeout_s}) + "\n")
            self._process.stdin.flush()
        return done.result(ANSWER_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self._waiting.pop(told["id"]).set_result(Outcome.of(told["outcome"]))
