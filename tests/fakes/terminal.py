"""The program in a terminal: what it prints may differ from what it puts in a file."""

import os
import subprocess
import threading
from contextlib import suppress
from types import TracebackType

from fakes.program import Program


class TerminalProgram(Program):
    """Run a command as `Program` does, with a terminal for what it prints."""

    def __enter__(self) -> "TerminalProgram":
        self._screen, keyboard = os.openpty()
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=keyboard,
            stderr=keyboard,
            env=self._variables,
            cwd=self.home,
        )
        os.close(keyboard)
        self._printed.touch()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._reader.join()
        os.close(self._screen)

    def _read(self) -> None:
        with self._printed.open("ab", buffering=0) as printed, suppress(OSError):  # raised once the program has ended
            while piece := os.read(self._screen, 4096):
                printed.write(piece)
