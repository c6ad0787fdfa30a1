"""The load generators: wrk for plain requests, our own stream_load for streams."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import CHAT_PATH, KEY, chat_body

HERE = Path(__file__).parent
BODIES = {
    "small": chat_body("json"),
    "large": chat_body("json", messages=98, characters=980),  # about 100 kB
}
PLAIN_COMMAND = (
    f"wrk -t1 -c{{connections}} -d{{seconds}}s --timeout 30s -s plain_load.lua http://127.0.0.1:{{port}}{CHAT_PATH}"
)
STREAM_COMMAND = f"stream_load {{port}} {{at_once}} {{total}} {{model}} {{limit_s}} {KEY} {{path}}"


@dataclass(frozen=True)
class Load:
    """The generators, built into a folder."""

    folder: Path

    def build(self) -> None:
        """Compile the C programs and write the request bodies."""
        for name in ("fake_upstream", "stream_load"):
            subprocess.run(["gcc", "-O2", "-o", self.folder / name, HERE / f"{name}.c"], check=True)
        for name, body in BODIES.items():
            (self.folder / name).write_bytes(body)

    def plain(self, port: int, body: str, connections: int, seconds: int) -> dict[str, Any]:
        """Send a body again and again; return requests_per_s, median_us, p99_us and failures."""
        command = PLAIN_COMMAND.format(connections=connections, seconds=seconds, port=port).split()
        env = {**os.environ, "BENCH_BODY": str(self.folder / body), "BENCH_KEY": KEY}
        return self._printed_by(command, env, seconds)

    def many_heads(self, port: int, seconds: int) -> dict[str, Any]:
        """Send requests of 1,000 heads in turn over 16 connections; return requests and failures."""
        command = PLAIN_COMMAND.replace("plain_load.lua", "many_heads.lua")
        env = {**os.environ, "BENCH_BODY": str(self.folder / "small"), "BENCH_KEY": KEY}
        return self._printed_by(command.format(connections=16, seconds=seconds, port=port).split(), env, seconds)

    def _printed_by(self, command: list[str], env: dict[str, str], seconds: int) -> dict[str, Any]:
        printed = subprocess.run(
            command, cwd=HERE, env=env, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 90
        ).stdout
        _, _, figures = printed.partition("FIGURES ")
        return dict(json.loads(figures))

    def streams(
        self, port: int, *, at_once: int, total: int, model: str, limit_s: int, path: str = CHAT_PATH
    ) -> dict[str, Any]:
        """Run streams; return what stream_load.c prints."""
        command = STREAM_COMMAND.format(
            port=port, at_once=at_once, total=total, model=model, limit_s=limit_s, path=path
        ).split()
        printed = subprocess.run(
            [self.folder / command[0], *command[1:]],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=limit_s + 30,
        ).stdout
        return dict(json.loads(printed))
