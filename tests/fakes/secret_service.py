"""A session of its own with a real Secret Service (gnome-keyring) on its bus: unlocked, locked, or hanging."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from background import need
from fakes.environment import ROOT
from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked, KeyringSilent

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
FAILURES = {kind.__name__: kind for kind in (KeyringAbsent, KeyringFailure, KeyringLocked, KeyringSilent)}
ASK = """
import json, sys
from proxy.errors.keyring import KeyringFailure
from proxy.keys.keychain import SystemKeychain
keychain = SystemKeychain()
for line in sys.stdin:
    verb, *words = json.loads(line)
    try:
        answer = {"answer": getattr(keychain, verb)(*words)}
    except KeyringFailure as failure:
        answer = {"failure": type(failure).__name__, "detail": failure.detail}
    print(json.dumps(answer), flush=True)
"""


class SecretSession:
    """Run a session bus and a keyring, from `with` to the end of its block."""

    def __init__(self) -> None:
        for program in PROGRAMS:
            need(program)

    def __enter__(self) -> "SecretSession":
        self._stack = ExitStack()
        command = ["dbus-daemon", "--session", "--print-address", "--nofork"]
        bus = self._stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        self._stack.callback(bus.terminate)
        assert bus.stdout is not None
        self.environment = {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip(),
            "PYTHONPATH": str(ROOT),
        }
        self.environment.pop("DISPLAY", None)  # nobody is asked to unlock it
        self._keyring = self._start("--unlock")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._stack.close()

    def lock(self) -> None:
        """Lock what it keeps, as after a login without a password."""
        self._end()
        self._keyring = self._start("--start")

    def freeze(self) -> None:
        """Let it hang: it is there and never answers."""
        self._keyring.send_signal(signal.SIGSTOP)

    def _start(self, how: str) -> "subprocess.Popen[bytes]":
        keyring = subprocess.Popen(
            ["gnome-keyring-daemon", how, "--components=secrets", "--foreground"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        )
        assert keyring.stdin is not None
        with keyring.stdin:
            if how == "--unlock":
                keyring.stdin.write(b"a password")
        return keyring

    def _end(self) -> None:
        self._keyring.send_signal(signal.SIGCONT)
        self._keyring.terminate()
        self._keyring.wait(10)


class OtherProcess:
    """The system's keychain, used in a process that lives in a session; from `with` to the end of its block."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def __enter__(self) -> "OtherProcess":
        self._process = subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def name(self) -> str:
        return str(self._ask("name"))

    def is_open(self) -> bool:
        return bool(self._ask("is_open"))

    def read(self, name: str) -> str | None:
        return self._ask("read", name)

    def write(self, name: str, secret: str) -> None:
        self._ask("write", name, secret)

    def delete(self, name: str) -> None:
        self._ask("delete", name)

    def _ask(self, *words: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        if "failure" in answer:
            raise FAILURES[answer["failure"]](answer["detail"])
        return answer["answer"]
